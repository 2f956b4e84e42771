using Levain.Core;

namespace Levain.Training.Settings;

/// <summary>The <c>[optimizer]</c> table: how gradients become steps.</summary>
public sealed record OptimizerSettings
{
    private readonly OptimizerOptions? options;

    /// <summary>Name of the optimizer; docs/optimizers.md has all of them, with the further keys of this table that each one brings. Default AdamW.</summary>
    public string Type { get; init; } = "AdamW";

    /// <summary>Learning rate of whatever has none of its own; 1 for optimizers that find their step length themselves. Default 1e-4.</summary>
    public double LearningRate { get; init; } = 1e-4;

    /// <summary>Learning rate of the U-Net's adapters; null: <see cref="LearningRate"/>; 0 keeps them untrained.</summary>
    public double? UnetLearningRate { get; init; }

    /// <summary>Learning rate of the text encoder's adapters; null: <see cref="LearningRate"/>; 0 keeps them untrained.</summary>
    public double? TextEncoderLearningRate { get; init; }

    /// <summary>Longest gradient; longer ones are scaled down to it before a step. 0 lets all pass. Default 1.</summary>
    public double MaxGradNorm { get; init; } = 1;

    /// <summary>The optimizer; null where there is none of that name.</summary>
    public Optimizer? Chosen => Optimizers.Named(Type);

    /// <summary>What belongs to the chosen optimizer alone; its defaults where nothing was said.</summary>
    public OptimizerOptions Options
    {
        get => options ?? (Chosen ?? Optimizers.AdamW).Defaults;
        init => options = value;
    }

    /// <summary>Whether the learning rate moves as <c>[schedule]</c> says: not where the optimizer averages over the run, or makes its rates itself.</summary>
    public bool FollowsSchedule => Chosen is not { ScheduleFree: true } && !Options.MakesRates;

    /// <summary>Steps, or share of the run, after which the text encoder, or its adapters, stay as they are while the U-Net is trained on; null: they are trained to the end.</summary>
    public StepsOrShare? TextEncoderStop { get; init; }

    /// <summary>The rate of the U-Net's adapters.</summary>
    public double UnetRate => UnetLearningRate ?? LearningRate;

    /// <summary>The rate of the text encoder's adapters.</summary>
    public double TextEncoderRate => TextEncoderLearningRate ?? LearningRate;

    /// <summary>The table's keys.</summary>
    public static OptimizerSettings Map(OptimizerSettings optimizer, TomlMap map)
    {
        var type = map.Text("type", optimizer.Type);
        // With a misspelt name the keys are those of what was probably meant, so that one mistake is told once.
        var usual = (Optimizers.Named(type) ?? Optimizers.Named(Nearest.To(type, Names).FirstOrDefault("AdamW"))!).Defaults;
        return optimizer with
        {
            Type = type,
            LearningRate = map.Number("learning_rate", optimizer.LearningRate),
            UnetLearningRate = map.OptionalNumber("unet_learning_rate", optimizer.UnetLearningRate),
            TextEncoderLearningRate = map.OptionalNumber("text_encoder_learning_rate", optimizer.TextEncoderLearningRate),
            TextEncoderStop = map.Own("text_encoder_stop", optimizer.TextEncoderStop, StepsOrShare.Read, length => length.Write(), StepsOrShare.Form),
            MaxGradNorm = map.Number("max_grad_norm", optimizer.MaxGradNorm),
            Options = map.Part(type == optimizer.Type ? optimizer.Options : usual, usual, static (options, keys) => options.Map(keys)),
        };
    }

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    /// <param name="kohya">Whether the optimizer is made with the learning rate even where nothing is trained with it, as kohya makes it.</param>
    public void Check(Problems problems, bool kohya = false)
    {
        if (Chosen is { } chosen)
        {
            Options.Check(problems);
            if (chosen.NeedsRate && LearningRate == 0 && (kohya || UnetLearningRate is null || TextEncoderLearningRate is null))
                problems.Add("learning_rate", $"is 0, which {chosen.Name} cannot work with.", chosen.Rates is RateUse.Length ? "Use 1e-4." : "Use 1.");
        }
        else problems.Add("type", $"is \"{Type}\", which is no optimizer.", Nearest.Advice(Type, Names));
        Rate(problems, "learning_rate", LearningRate);
        Rate(problems, "unet_learning_rate", UnetLearningRate);
        Rate(problems, "text_encoder_learning_rate", TextEncoderLearningRate);
        problems.Require(MaxGradNorm >= 0, "max_grad_norm", $"is {MaxGradNorm}.", "Use 0 or more; 1 is usual, 0 clips nothing.");
    }

    private static IReadOnlyList<string> Names => [.. Optimizers.All.Select(optimizer => optimizer.Name)];

    private static void Rate(Problems problems, string name, double? rate) =>
        problems.Require(rate is null or >= 0, name, $"is {rate}.", "Use 0 or more; 1e-4 suits AdamW.");
}
