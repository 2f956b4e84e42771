using Levain.Core;
using static TorchSharp.torch;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>RAdam with an average over the run in place of a schedule.</summary>
    public static Optimizer RAdamScheduleFree { get; } = new("RAdamScheduleFree", "RAdam that averages over the run instead of following a schedule; warms up by itself", scheduleFreePaper, new RAdamScheduleFreeOptions())
    {
        Class = "schedulefree.radam_schedulefree.RAdamScheduleFree",
        Aliases = ["schedulefree.RAdamScheduleFree"],
        ScheduleFree = true,
        Advice = "One to ten times AdamW's learning rate; neither schedule nor warm-up is needed.",
    };
}

/// <summary>Options of <see cref="Optimizers.RAdamScheduleFree"/>.</summary>
public sealed record RAdamScheduleFreeOptions : ScheduleFreeOptions
{
    /// <summary>Share of the average in the point where gradients are taken, and share of the old second moment; each above 0 and below 1. Default [0.9, 0.999].</summary>
    public IReadOnlyList<double> Betas { get; init; } = [0.9, 0.999];

    /// <summary>Added to the root of the second moment, 0 or more. Default 1e-8.</summary>
    public double Eps { get; init; } = 1e-8;

    /// <summary>Stands still in the first steps, in which the second moment says little, rather than descending plainly. Default on.</summary>
    public bool SilentSgdPhase { get; init; } = true;

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map)
    {
        Idle(map, "foreach");
        return this with
        {
            Betas = map.Numbers("betas", Betas)!,
            Eps = map.Number("eps", Eps),
            WeightDecay = map.Number("weight_decay", WeightDecay),
            R = map.Number("r", R),
            WeightLrPower = map.Number("weight_lr_power", WeightLrPower),
            SilentSgdPhase = map.Flag("silent_sgd_phase", SilentSgdPhase),
        };
    }

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        problems.Require(Betas.Count == 2 && Betas.All(beta => beta is > 0 and < 1), "betas", $"is [{string.Join(", ", Betas)}].", "Give two numbers above 0 and below 1: [0.9, 0.999].");
        CheckEpsilon(problems, Eps);
        CheckDecay(problems, WeightDecay);
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => new RAdamScheduleFreeRule(this, parameters);
}

internal sealed class RAdamScheduleFreeRule : ScheduleFreeRule
{
    // Liu et al. 2019, https://arxiv.org/abs/1908.03265, algorithm 2: below it the variance of the second moment is unknown.
    private const double Enough = 4;

    private readonly RAdamScheduleFreeOptions options;
    private readonly Tensor square;

    public RAdamScheduleFreeRule(RAdamScheduleFreeOptions options, TrainedParameters parameters) : base(options, options.Betas[0], parameters) =>
        (this.options, square) = (options, Slot("exp_avg_sq"));

    protected override double RateAt(double rate, long k)
    {
        var (most, now) = Lengths(options.Betas[1], k);
        return rate * (now > Enough ? Rectification(most, now) : options.SilentSgdPhase ? 0 : 1);
    }

    protected override void Step(Move move, TensorRun run, long k)
    {
        var beta2 = options.Betas[1];
        if (Lengths(beta2, k).Now > Enough) Run(new Adam(move, beta2, 1 - Math.Pow(beta2, k), options.Eps), [Z, square], [run.Range]);
        else Run(new Gather(move, beta2), [Z, square], [run.Range]);
    }

    /// <summary>Lengths of the second moment's approximated mean: at most, and at a step counted from 1.</summary>
    internal static (double Most, double Now) Lengths(double beta2, long k)
    {
        var (most, power) = (2 / (1 - beta2) - 1, Math.Pow(beta2, k));
        return (most, most - 2 * k * power / (1 - power));
    }

    /// <summary>What the step is multiplied by while the second moment is uncertain.</summary>
    internal static double Rectification(double most, double now) => Math.Sqrt((now - 4) * (now - 2) * most / ((most - 4) * (most - 2) * now));
}
