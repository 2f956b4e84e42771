using Levain.Core;

namespace Levain.Training.Settings;

/// <summary>The <c>[optimizer]</c> table: how gradients become steps.</summary>
public sealed record OptimizerSettings
{
    /// <summary>Name of the optimizer; <c>AdamW</c> is what this version has. Default AdamW.</summary>
    public string Type { get; init; } = "AdamW";

    /// <summary>Learning rate of whatever has none of its own. Default 1e-4.</summary>
    public double LearningRate { get; init; } = 1e-4;

    /// <summary>Learning rate of the U-Net's adapters; null: <see cref="LearningRate"/>; 0 keeps them untrained.</summary>
    public double? UnetLearningRate { get; init; }

    /// <summary>Learning rate of the text encoder's adapters; null: <see cref="LearningRate"/>; 0 keeps them untrained.</summary>
    public double? TextEncoderLearningRate { get; init; }

    /// <summary>Decay of the weights, apart from the gradient (Loshchilov and Hutter 2019). Default 0.01.</summary>
    public double WeightDecay { get; init; } = 0.01;

    /// <summary>Share of the old first moment kept in a step, 0..1. Default 0.9.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Share of the old second moment kept in a step, 0..1. Default 0.999.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>Added to the root of the second moment. Default 1e-8.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Longest gradient; longer ones are scaled down to it before a step. 0 lets all pass. Default 1.</summary>
    public double MaxGradNorm { get; init; } = 1;

    /// <summary>The rate of the U-Net's adapters.</summary>
    public double UnetRate => UnetLearningRate ?? LearningRate;

    /// <summary>The rate of the text encoder's adapters.</summary>
    public double TextEncoderRate => TextEncoderLearningRate ?? LearningRate;

    /// <summary>The table's keys.</summary>
    public static OptimizerSettings Map(OptimizerSettings optimizer, TomlMap map)
    {
        var betas = map.Numbers("betas", [optimizer.Beta1, optimizer.Beta2]) ?? [];
        return optimizer with
        {
            Type = map.Text("type", optimizer.Type),
            LearningRate = map.Number("learning_rate", optimizer.LearningRate),
            UnetLearningRate = map.OptionalNumber("unet_learning_rate", optimizer.UnetLearningRate),
            TextEncoderLearningRate = map.OptionalNumber("text_encoder_learning_rate", optimizer.TextEncoderLearningRate),
            WeightDecay = map.Number("weight_decay", optimizer.WeightDecay),
            Beta1 = betas.Count == 2 ? betas[0] : double.NaN,
            Beta2 = betas.Count == 2 ? betas[1] : double.NaN,
            Epsilon = map.Number("eps", optimizer.Epsilon),
            MaxGradNorm = map.Number("max_grad_norm", optimizer.MaxGradNorm),
        };
    }

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    public void Check(Problems problems)
    {
        problems.Require(Type.Equals("AdamW", StringComparison.OrdinalIgnoreCase), "type", $"is \"{Type}\", which this version does not have.", "Use \"AdamW\".");
        Rate(problems, "learning_rate", LearningRate);
        Rate(problems, "unet_learning_rate", UnetLearningRate);
        Rate(problems, "text_encoder_learning_rate", TextEncoderLearningRate);
        problems.Require(WeightDecay >= 0, "weight_decay", $"is {WeightDecay}.", "Use 0 or more; 0.01 is usual.");
        problems.Require(Beta1 is >= 0 and < 1 && Beta2 is >= 0 and < 1, "betas", $"are {Beta1} and {Beta2}.", "Give two numbers of 0 to below 1: [0.9, 0.999].");
        problems.Require(Epsilon >= 0, "eps", $"is {Epsilon}.", "Use a small number of 0 or more; 1e-8 is usual.");
        problems.Require(MaxGradNorm >= 0, "max_grad_norm", $"is {MaxGradNorm}.", "Use 0 or more; 1 is usual, 0 clips nothing.");
    }

    private static void Rate(Problems problems, string name, double? rate) =>
        problems.Require(rate is null or >= 0, name, $"is {rate}.", "Use 0 or more; 1e-4 suits AdamW.");
}
