using Levain.Core;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>Adam, whose weight decay joins the gradient.</summary>
    public static Optimizer Adam { get; } = new("Adam", "AdamW whose decay joins the gradient", new("https://arxiv.org/abs/1412.6980"), new AdamOptions())
    {
        Class = "torch.optim.adam.Adam",
        Aliases = ["torch.optim.Adam"],
        CaseMatters = true,
    };
}

/// <summary>Options of <see cref="Optimizers.Adam"/>.</summary>
public sealed record AdamOptions : OptimizerOptions
{
    /// <summary>Shares of the old first and second moment that a step keeps, each 0 to below 1. Default [0.9, 0.999].</summary>
    public IReadOnlyList<double> Betas { get; init; } = [0.9, 0.999];

    /// <summary>Added to the root of the second moment, 0 or more. Default 1e-8.</summary>
    public double Eps { get; init; } = 1e-8;

    /// <summary>Decay of the weights, 0 or more. Default 0.</summary>
    public double WeightDecay { get; init; }

    /// <summary>Whether weights decay apart from the gradient, which makes it AdamW. Default off.</summary>
    public bool DecoupledWeightDecay { get; init; }

    /// <summary>Divides by the largest second moment so far. Default off.</summary>
    public bool Amsgrad { get; init; }

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map)
    {
        TorchOnly(map, fused: true);
        return this with
        {
            Betas = map.Numbers("betas", Betas)!,
            Eps = map.Number("eps", Eps),
            WeightDecay = map.Number("weight_decay", WeightDecay),
            DecoupledWeightDecay = map.Flag("decoupled_weight_decay", DecoupledWeightDecay),
            Amsgrad = map.Flag("amsgrad", Amsgrad),
            Maximize = map.Flag("maximize", Maximize),
        };
    }

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        CheckBetas(problems, Betas);
        CheckEpsilon(problems, Eps);
        CheckDecay(problems, WeightDecay);
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) =>
        new AdamWRule(new AdamWOptions { Betas = Betas, Eps = Eps, WeightDecay = WeightDecay, Amsgrad = Amsgrad }, DecoupledWeightDecay, parameters);
}
