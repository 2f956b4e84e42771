using Levain.Core;
using Levain.Training.EightBit;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>Gradient descent with an 8-bit momentum: plain, whatever its name says.</summary>
    public static Optimizer SgdNesterov8bit { get; } = new(
        "SGDNesterov8bit", "Gradient descent with a momentum of 8 bits; not Nesterov's, as in bitsandbytes", new("https://arxiv.org/abs/2110.02861"), new Sgd8bitOptions())
    {
        Class = "bitsandbytes.optim.sgd.SGD8bit",
        KohyaArguments = MomentumNamed,
        Advice = "Far too slow for networks: thousands of steps at a high rate.",
    };

    /// <summary>The same by its class: without a momentum of its own.</summary>
    public static Optimizer Sgd8bit { get; } = new(
        "SGD8bit", "SGDNesterov8bit, whose momentum must be given", new("https://arxiv.org/abs/2110.02861"), new Sgd8bitOptions { Momentum = 0, NesterovTold = true })
    {
        Class = "bitsandbytes.optim.sgd.SGD8bit",
        Aliases = ["bitsandbytes.optim.SGD8bit"],
        ByPathInKohya = true,
    };
}

/// <summary>Options of <see cref="Optimizers.SgdNesterov8bit"/> and <see cref="Optimizers.Sgd8bit"/>.</summary>
public sealed record Sgd8bitOptions : BlockOptions
{
    /// <summary>Share of the old momentum that a step keeps, above 0. Default 0.9; none for SGD8bit.</summary>
    public double Momentum { get; init; } = 0.9;

    /// <summary>Decay of the weights, added to the gradient; 0 or more. Default 0.</summary>
    public double WeightDecay { get; init; }

    /// <summary>Whether <c>nesterov</c> may be said, which nobody takes notice of; kohya says it itself with SGDNesterov8bit.</summary>
    public bool NesterovTold { get; init; }

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map)
    {
        Idle(map, NesterovTold ? ["dampening", "nesterov", "args"] : ["dampening", "args"]);
        return this with
        {
            Momentum = map.Number("momentum", Momentum),
            WeightDecay = map.Number("weight_decay", WeightDecay),
            Min8bitSize = map.Whole("min_8bit_size", Min8bitSize),
            OptimBits = BitsChosen ? map.Whole("optim_bits", OptimBits) : OptimBits,
        };
    }

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        problems.Require(Momentum is > 0 and < 1, "momentum", $"is {Momentum}.", "Use a number above 0 and below 1; 0.9 is usual.");
        CheckDecay(problems, WeightDecay);
        problems.Require(OptimBits is Full or Eight, "optim_bits", $"is {OptimBits}.", "Use 32 or 8.");
        CheckSize(problems);
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => new Sgd8bitRule(this, parameters);
}

internal sealed class Sgd8bitRule(Sgd8bitOptions options, TrainedParameters parameters) : BlockRule(parameters, options.Smallest, moments: 1)
{
    // The first momentum is the first gradient: a momentum of 0 before it gives just that.
    public override void Step(IReadOnlyList<GroupStep> groups)
    {
        foreach (var group in groups)
            foreach (var run in group.Runs)
                Apply(new SgdRule.Heavy(new(group.Rate, options.WeightDecay, Momentum ?? options.Momentum, 1)), run);
    }
}
