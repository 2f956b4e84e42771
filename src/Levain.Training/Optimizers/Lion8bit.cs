using Levain.Core;
using Levain.Training.EightBit;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>Lion whose momentum is 8-bit blocks.</summary>
    public static Optimizer Lion8bit { get; } = new("Lion8bit", "Lion with a quarter of the memory: a momentum of 8 bits", new("https://arxiv.org/abs/2302.06675"), new Lion8bitOptions { MayBePaged = true })
    {
        Class = "bitsandbytes.optim.lion.Lion8bit",
        Aliases = ["bitsandbytes.optim.Lion8bit"],
        Advice = "As Lion: a third to a tenth of AdamW's learning rate.",
    };

    /// <summary>The same numbers as <see cref="Lion8bit"/>.</summary>
    public static Optimizer PagedLion8bit { get; } = new("PagedLion8bit", "Lion8bit; networks are too small to be paged", new("https://arxiv.org/abs/2302.06675"), new Lion8bitOptions())
    {
        Class = "bitsandbytes.optim.lion.PagedLion8bit",
        Aliases = ["bitsandbytes.optim.PagedLion8bit"],
    };
}

/// <summary>Options of <see cref="Optimizers.Lion8bit"/>.</summary>
public sealed record Lion8bitOptions : BlockOptions
{
    /// <summary>Shares of the old momentum: in the sign, and in what is kept; each 0 to below 1. Default [0.9, 0.99].</summary>
    public IReadOnlyList<double> Betas { get; init; } = [0.9, 0.99];

    /// <summary>Decay of the weights, apart from the gradient, 0 or more. Default 0.</summary>
    public double WeightDecay { get; init; }

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map)
    {
        Idle(map, MayBePaged ? ["is_paged", "args"] : ["args"]);
        return this with
        {
            Betas = map.Numbers("betas", Betas)!,
            WeightDecay = map.Number("weight_decay", WeightDecay),
            Min8bitSize = map.Whole("min_8bit_size", Min8bitSize),
            OptimBits = BitsChosen ? map.Whole("optim_bits", OptimBits) : OptimBits,
        };
    }

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        CheckBetas(problems, Betas);
        CheckDecay(problems, WeightDecay);
        problems.Require(OptimBits is Full or Eight, "optim_bits", $"is {OptimBits}.", "Use 32 or 8.");
        CheckSize(problems);
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => new Lion8bitRule(this, parameters);
}

internal sealed class Lion8bitRule(Lion8bitOptions options, TrainedParameters parameters) : BlockRule(parameters, options.Smallest, moments: 1)
{
    public override void Step(IReadOnlyList<GroupStep> groups)
    {
        foreach (var group in groups)
            foreach (var run in group.Runs)
                Apply(new LionRule.Signs(group.Rate, group.Rate * options.WeightDecay, Momentum ?? options.Betas[0], options.Betas[1]), run);
    }
}
