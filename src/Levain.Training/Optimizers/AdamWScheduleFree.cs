using Levain.Core;
using static TorchSharp.torch;

namespace Levain.Training;

public static partial class Optimizers
{
    private static readonly Uri scheduleFreePaper = new("https://arxiv.org/abs/2405.15682");

    /// <summary>AdamW with an average over the run in place of a schedule.</summary>
    public static Optimizer AdamWScheduleFree { get; } = new("AdamWScheduleFree", "AdamW that averages over the run instead of following a schedule", scheduleFreePaper, new AdamWScheduleFreeOptions())
    {
        Class = "schedulefree.adamw_schedulefree.AdamWScheduleFree",
        Aliases = ["schedulefree.AdamWScheduleFree"],
        ScheduleFree = true,
        Advice = "One to ten times AdamW's learning rate, with warmup_steps; no schedule is needed.",
    };
}

/// <summary>Options of <see cref="Optimizers.AdamWScheduleFree"/>.</summary>
public sealed record AdamWScheduleFreeOptions : ScheduleFreeOptions
{
    /// <summary>Share of the average in the point where gradients are taken, and share of the old second moment; each above 0 and below 1. Default [0.9, 0.999].</summary>
    public IReadOnlyList<double> Betas { get; init; } = [0.9, 0.999];

    /// <summary>Added to the root of the second moment, 0 or more. Default 1e-8.</summary>
    public double Eps { get; init; } = 1e-8;

    /// <summary>Steps over which the rate rises. Default 0.</summary>
    public int WarmupSteps { get; init; }

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map)
    {
        Idle(map, "foreach");
        return this with
        {
            Betas = map.Numbers("betas", Betas)!,
            Eps = map.Number("eps", Eps),
            WeightDecay = map.Number("weight_decay", WeightDecay),
            WarmupSteps = map.Whole("warmup_steps", WarmupSteps),
            R = map.Number("r", R),
            WeightLrPower = map.Number("weight_lr_power", WeightLrPower),
        };
    }

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        problems.Require(Betas.Count == 2 && Betas.All(beta => beta is > 0 and < 1), "betas", $"is [{string.Join(", ", Betas)}].", "Give two numbers above 0 and below 1: [0.9, 0.999].");
        CheckEpsilon(problems, Eps);
        CheckDecay(problems, WeightDecay);
        problems.Require(WarmupSteps >= 0, "warmup_steps", $"is {WarmupSteps}.", "Use 0 or more.");
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => new AdamWScheduleFreeRule(this, parameters);
}

internal sealed class AdamWScheduleFreeRule : ScheduleFreeRule
{
    private readonly AdamWScheduleFreeOptions options;
    private readonly Tensor square;

    public AdamWScheduleFreeRule(AdamWScheduleFreeOptions options, TrainedParameters parameters) : base(options, options.Betas[0], parameters) =>
        (this.options, square) = (options, Slot("exp_avg_sq"));

    protected override double RateAt(double rate, long k) => k < options.WarmupSteps ? rate * ((double)k / options.WarmupSteps) : rate;

    protected override void Step(Move move, TensorRun run, long k) =>
        Run(new Adam(move, options.Betas[1], 1 - Math.Pow(options.Betas[1], k), options.Eps), [Z, square], [run.Range]);
}
