using System.Runtime.CompilerServices;
using Levain.Core;
using Levain.Training.Elements;
using static TorchSharp.torch;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>Gradient descent that finds its step length.</summary>
    public static Optimizer DAdaptSgd { get; } = new(
        "DAdaptSGD", "Gradient descent that finds its step length itself", new("https://arxiv.org/abs/2301.07733"), new DAdaptSgdOptions())
    {
        Class = "dadaptation.dadapt_sgd.DAdaptSGD",
        Aliases = ["dadaptation.DAdaptSGD"],
        Rates = RateUse.Multiplier,
        NeedsRate = true,
    };
}

/// <summary>Options of <see cref="Optimizers.DAdaptSgd"/>.</summary>
public sealed record DAdaptSgdOptions : DAdaptOptions
{
    /// <summary>Share of the old parameters in new ones, 0 to below 1. Default 0.</summary>
    public double Momentum { get; init; }

    /// <summary>Decay of the weights, added to the gradient. Default 0.</summary>
    public double WeightDecay { get; init; }

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map)
    {
        Idle(map, "log_every", "fsdp_in_use");
        return this with
        {
            Momentum = map.Number("momentum", Momentum),
            WeightDecay = map.Number("weight_decay", WeightDecay),
            D0 = map.Number("d0", D0),
            GrowthRate = map.OptionalNumber("growth_rate", GrowthRate),
        };
    }

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        problems.Require(Momentum is >= 0 and < 1, "momentum", $"is {Momentum}.", "Use 0 to below 1; 0.9 is usual.");
        CheckDecay(problems, WeightDecay);
        CheckDistance(problems);
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => new DAdaptSgdRule(this, parameters);
}

internal sealed class DAdaptSgdRule : UpdateRule
{
    private readonly DAdaptSgdOptions options;
    private readonly Tensor walked, origin;
    private readonly Number d, numerator, norm, done;

    public DAdaptSgdRule(DAdaptSgdOptions options, TrainedParameters parameters) : base(parameters)
    {
        this.options = options;
        (walked, origin) = (Slot("s"), Keep("x0", Values.narrow(0, 0, parameters.Length).clone()));
        (d, numerator, norm, done) = (Remember("d", options.D0), Remember("numerator_weighted"), Remember("g0_norm"), Remember("k"));
    }

    public override double? Distance => d.Value;

    public override void Step(IReadOnlyList<GroupStep> groups)
    {
        var rate = SharedRate(groups);
        var moving = groups.Where(group => group.Rate > 0).SelectMany(group => group.Runs.Select(run => run.Range)).ToList();
        if (done.Value == 0) norm.Value = Math.Sqrt(Run(new Squares(), [], moving).First);
        if (norm.Value == 0) return;           // nothing has been seen yet
        var length = d.Value * rate / norm.Value;

        var found = Run(new Look(length, options.WeightDecay), [walked], moving);
        if (found.Second == 0) return;         // a rate of 0 everywhere: nothing moves, and no step is counted
        numerator.Value += length * found.First;
        d.Value = options.Grown(d.Value, 2 * numerator.Value / Math.Sqrt(found.Second));
        Run(new Move(Momentum ?? options.Momentum), [walked, origin], groups.SelectMany(group => group.Runs.Select(run => run.Range)));
        done.Value++;
    }

    private readonly struct Look(double length, double decay) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A;
        public static Streams Writes => Streams.A | Streams.Sums;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            var g = x.G + x.P * decay;
            x.Sum1 = g * x.A;
            x.A += g * length;
            x.Sum2 = x.A * x.A;
        }
    }

    private readonly struct Move(double momentum) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.A | Streams.B;
        public static Streams Writes => Streams.Parameter;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L> => x.P = x.P * momentum + (x.B - x.A) * (1 - momentum);
    }
}
