using Levain.Core;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>Gradient descent with an average over the run in place of a schedule.</summary>
    public static Optimizer SgdScheduleFree { get; } = new("SGDScheduleFree", "Gradient descent that averages over the run instead of following a schedule", scheduleFreePaper, new SgdScheduleFreeOptions())
    {
        Class = "schedulefree.sgd_schedulefree.SGDScheduleFree",
        Aliases = ["schedulefree.SGDScheduleFree"],
        ScheduleFree = true,
        Advice = "Ten to fifty times SGD's learning rate, with warmup_steps.",
    };
}

/// <summary>Options of <see cref="Optimizers.SgdScheduleFree"/>.</summary>
public sealed record SgdScheduleFreeOptions : ScheduleFreeOptions
{
    /// <summary>Share of the average in the point where gradients are taken; above 0 and below 1. Default 0.9.</summary>
    public double Momentum { get; init; } = 0.9;

    /// <summary>Steps over which the rate rises. Default 0.</summary>
    public int WarmupSteps { get; init; }

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map)
    {
        Idle(map, "foreach");
        return this with
        {
            Momentum = map.Number("momentum", Momentum),
            WeightDecay = map.Number("weight_decay", WeightDecay),
            WarmupSteps = map.Whole("warmup_steps", WarmupSteps),
            R = map.Number("r", R),
            WeightLrPower = map.Number("weight_lr_power", WeightLrPower),
        };
    }

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        problems.Require(Momentum is > 0 and < 1, "momentum", $"is {Momentum}.", "Use a number above 0 and below 1; 0.9 is usual.");
        CheckDecay(problems, WeightDecay);
        problems.Require(WarmupSteps >= 0, "warmup_steps", $"is {WarmupSteps}.", "Use 0 or more.");
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => new SgdScheduleFreeRule(this, parameters);
}

internal sealed class SgdScheduleFreeRule(SgdScheduleFreeOptions options, TrainedParameters parameters) : ScheduleFreeRule(options, options.Momentum, parameters)
{
    protected override double RateAt(double rate, long k) => k < options.WarmupSteps ? rate * ((double)k / options.WarmupSteps) : rate;

    protected override void Step(Move move, TensorRun run, long k) => Run(new Plain(move), [Z], [run.Range]);
}
