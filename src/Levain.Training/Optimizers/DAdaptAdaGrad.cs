using System.Runtime.CompilerServices;
using Levain.Core;
using Levain.Training.Elements;
using static TorchSharp.torch;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>AdaGrad that finds its step length.</summary>
    public static Optimizer DAdaptAdaGrad { get; } = new(
        "DAdaptAdaGrad", "AdaGrad that finds its step length itself, very slowly", new("https://arxiv.org/abs/2301.07733"), new DAdaptAdaGradOptions())
    {
        Class = "dadaptation.dadapt_adagrad.DAdaptAdaGrad",
        Aliases = ["dadaptation.DAdaptAdaGrad"],
        Rates = RateUse.FirstGroup,
        NeedsRate = true,
    };
}

/// <summary>Options of <see cref="Optimizers.DAdaptAdaGrad"/>.</summary>
public sealed record DAdaptAdaGradOptions : DAdaptOptions
{
    /// <summary>Share of the old parameters in new ones, 0 to below 1. Default 0.</summary>
    public double Momentum { get; init; }

    /// <summary>Decay of the weights, added to the gradient. Default 0.</summary>
    public double WeightDecay { get; init; }

    /// <summary>Added to the root of the sum of squares, 0 or more. Default 1e-6.</summary>
    public double Eps { get; init; } = 1e-6;

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map)
    {
        Idle(map, "log_every");
        return this with
        {
            Momentum = map.Number("momentum", Momentum),
            WeightDecay = map.Number("weight_decay", WeightDecay),
            Eps = map.Number("eps", Eps),
            D0 = map.Number("d0", D0),
            GrowthRate = map.OptionalNumber("growth_rate", GrowthRate),
        };
    }

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        problems.Require(Momentum is >= 0 and < 1, "momentum", $"is {Momentum}.", "Use 0 to below 1; 0.9 is usual.");
        CheckEpsilon(problems, Eps, aboveZero: true);
        CheckDecay(problems, WeightDecay);
        CheckDistance(problems);
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => new DAdaptAdaGradRule(this, parameters);
}

internal sealed class DAdaptAdaGradRule : UpdateRule
{
    // dadaptation begins its sums of squares here, so that a first gradient of 0 divides nothing by 0.
    private const double FirstSquare = 1e-6;

    private readonly DAdaptAdaGradOptions options;
    private readonly Tensor squares, walked, origin;
    private readonly Number d, weighted, weightedWalk, length1, done;

    public DAdaptAdaGradRule(DAdaptAdaGradOptions options, TrainedParameters parameters) : base(parameters)
    {
        this.options = options;
        squares = Slot("alphak");
        squares.fill_(FirstSquare);
        (walked, origin) = (Slot("sk"), Keep("x0", Values.narrow(0, 0, parameters.Length).clone()));
        (d, weighted, weightedWalk, length1, done) = (Remember("d", options.D0), Remember("gsq_weighted"), Remember("sksq_weighted"), Remember("skl1"), Remember("k"));
    }

    public override double? Distance => d.Value;

    public override void Step(IReadOnlyList<GroupStep> groups)
    {
        var rate = groups[0].Rate;
        var length = d.Value * rate;
        var ranges = groups.SelectMany(group => group.Runs.Select(run => run.Range)).ToList();
        var found = Run(new Look(length, options.WeightDecay, options.Eps), [squares, walked], ranges);
        weighted.Value += length * length * found.First;
        weightedWalk.Value += found.Second;
        length1.Value += found.Third;
        if (length1.Value == 0) return;
        if (rate > 0) d.Value = options.Grown(d.Value, (weightedWalk.Value - weighted.Value) / length1.Value);
        Run(new Move(Momentum ?? options.Momentum, options.Eps), [squares, walked, origin], ranges);
        done.Value++;
    }

    private readonly struct Look(double length, double decay, double eps) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A | Streams.B;
        public static Streams Writes => Streams.A | Streams.B | Streams.Sums;

        // Second and third are what this step adds to sums over all steps: the new part less the old one.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            var g = x.G + x.P * decay;
            var (squareThen, sizeThen) = (x.B * x.B / (L.Root(x.A) + eps), L.Size(x.B));
            x.A += g * g;
            x.B += g * length;
            var scale = L.Root(x.A) + eps;
            x.Sum1 = g * g / scale;
            x.Sum2 = x.B * x.B / scale - squareThen;
            x.Sum3 = L.Size(x.B) - sizeThen;
        }
    }

    private readonly struct Move(double momentum, double eps) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.A | Streams.B | Streams.C;
        public static Streams Writes => Streams.Parameter;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L> => x.P = x.P * momentum + (x.C - x.B / (L.Root(x.A) + eps)) * (1 - momentum);
    }
}
