using System.Runtime.CompilerServices;
using Levain.Core;
using Levain.Training.Elements;
using static TorchSharp.torch;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>Gradients over the root of their mean square.</summary>
    public static Optimizer RmsProp { get; } = new("RMSprop", "Gradients over the root of their mean square", new("https://arxiv.org/abs/1308.0850"), new RmsPropOptions())
    {
        Class = "torch.optim.rmsprop.RMSprop",
        Aliases = ["torch.optim.RMSprop"],
        CaseMatters = true,
    };
}

/// <summary>Options of <see cref="Optimizers.RmsProp"/>.</summary>
public sealed record RmsPropOptions : OptimizerOptions
{
    /// <summary>Share of the old mean square that a step keeps, 0 to below 1. Default 0.99.</summary>
    public double Alpha { get; init; } = 0.99;

    /// <summary>Added to the root of the mean square, 0 or more. Default 1e-8.</summary>
    public double Eps { get; init; } = 1e-8;

    /// <summary>Decay of the weights, added to the gradient; 0 or more. Default 0.</summary>
    public double WeightDecay { get; init; }

    /// <summary>Share of the old step in a new one, 0 or more. Default 0.</summary>
    public double Momentum { get; init; }

    /// <summary>Takes the square of the mean gradient off the mean square. Default off.</summary>
    public bool Centered { get; init; }

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map)
    {
        TorchOnly(map);
        return this with
        {
            Alpha = map.Number("alpha", Alpha),
            Eps = map.Number("eps", Eps),
            WeightDecay = map.Number("weight_decay", WeightDecay),
            Momentum = map.Number("momentum", Momentum),
            Centered = map.Flag("centered", Centered),
            Maximize = map.Flag("maximize", Maximize),
        };
    }

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        problems.Require(Alpha is >= 0 and < 1, "alpha", $"is {Alpha}.", "Use 0 to below 1; 0.99 is usual.");
        CheckEpsilon(problems, Eps);
        CheckDecay(problems, WeightDecay);
        problems.Require(Momentum >= 0, "momentum", $"is {Momentum}.", "Use 0 or more; 0.9 is usual.");
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => new RmsPropRule(this, parameters);
}

// torch.optim.RMSprop.
internal sealed class RmsPropRule : UpdateRule
{
    private readonly RmsPropOptions options;
    private readonly Tensor square;
    private readonly Tensor? momentum, mean;

    public RmsPropRule(RmsPropOptions options, TrainedParameters parameters) : base(parameters)
    {
        (this.options, square) = (options, Slot("square_avg"));
        if (options.Momentum > 0 || parameters.MovesMomentum) momentum = Slot("momentum_buffer");
        if (options.Centered) mean = Slot("grad_avg");
    }

    public override void Step(IReadOnlyList<GroupStep> groups)
    {
        foreach (var group in groups)
        {
            var now = new Numbers(group.Rate, options.Alpha, options.Eps, options.WeightDecay, Momentum ?? options.Momentum);
            var ranges = group.Runs.Select(run => run.Range);
            var momentum = now.Momentum > 0 ? this.momentum : null;
            if (mean is not null && momentum is not null) Run(new CenteredMoving(now), [square, mean, momentum], ranges);
            else if (mean is not null) Run(new Centered(now), [square, mean], ranges);
            else if (momentum is not null) Run(new Moving(now), [square, momentum], ranges);
            else Run(new Plain(now), [square], ranges);
        }
    }

    private readonly record struct Numbers(double Rate, double Alpha, double Eps, double Decay, double Momentum)
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public L Scaled<L>(L p, L g, ref L square) where L : struct, ILanes<L>
        {
            g += p * Decay;
            square = square * Alpha + g * g * (1 - Alpha);
            return g / (L.Root(square) + Eps);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public L Scaled<L>(L p, L g, ref L square, ref L mean) where L : struct, ILanes<L>
        {
            g += p * Decay;
            square = square * Alpha + g * g * (1 - Alpha);
            mean += (g - mean) * (1 - Alpha);
            return g / (L.Root(square - mean * mean) + Eps);
        }
    }

    private readonly struct Plain(Numbers now) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A;
        public static Streams Writes => Streams.Parameter | Streams.A;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L> => x.P -= now.Scaled(x.P, x.G, ref x.A) * now.Rate;
    }

    private readonly struct Moving(Numbers now) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A | Streams.B;
        public static Streams Writes => Streams.Parameter | Streams.A | Streams.B;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            x.B = x.B * now.Momentum + now.Scaled(x.P, x.G, ref x.A);
            x.P -= x.B * now.Rate;
        }
    }

    private readonly struct Centered(Numbers now) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A | Streams.B;
        public static Streams Writes => Streams.Parameter | Streams.A | Streams.B;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L> => x.P -= now.Scaled(x.P, x.G, ref x.A, ref x.B) * now.Rate;
    }

    private readonly struct CenteredMoving(Numbers now) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A | Streams.B | Streams.C;
        public static Streams Writes => Streams.Parameter | Streams.A | Streams.B | Streams.C;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            x.C = x.C * now.Momentum + now.Scaled(x.P, x.G, ref x.A, ref x.B);
            x.P -= x.C * now.Rate;
        }
    }
}
