using System.Runtime.CompilerServices;
using Levain.Training.Elements;
using static TorchSharp.torch;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>Adam that finds its step length.</summary>
    public static Optimizer DAdaptAdam { get; } = new(
        "DAdaptAdam", "Adam that finds its step length itself", new("https://arxiv.org/abs/2301.07733"), new DAdaptAdamOptions())
    {
        Class = "dadaptation.dadapt_adam.DAdaptAdam",
        Aliases = ["dadaptation.DAdaptAdam"],
        Rates = RateUse.Multiplier,
        NeedsRate = true,
        Advice = "Learning rate 1 (0.1 to 1) for all parts, a constant schedule, decouple, weight_decay 0.01, betas [0.9, 0.99], alpha 1 to half the rank.",
    };
}

// D-Adapted Adam, version 3 of dadaptation: the step length is inside the first moment.
internal sealed class DAdaptAdamRule : UpdateRule
{
    private readonly DAdaptAdamOptions options;
    private readonly Tensor mean, square, walked;
    private readonly Number d, numerator, done;

    public DAdaptAdamRule(DAdaptAdamOptions options, TrainedParameters parameters) : base(parameters)
    {
        this.options = options;
        (mean, square, walked) = (Slot("exp_avg"), Slot("exp_avg_sq"), Slot("s"));
        (d, numerator, done) = (Remember("d", options.D0), Remember("numerator_weighted"), Remember("k"));
    }

    public override double? Distance => d.Value;

    public override void Step(IReadOnlyList<GroupStep> groups)
    {
        var (rate, k) = (SharedRate(groups), done.Value + 1);
        var (beta1, beta2) = (Momentum ?? options.Betas[0], options.Betas[1]);
        var keep = Math.Sqrt(beta2);
        var correction = options.UseBiasCorrection ? Math.Sqrt(1 - Math.Pow(beta2, k)) / (1 - Math.Pow(beta1, k)) : 1;
        var length = d.Value * rate * correction;
        var coupled = options.Decouple ? 0 : options.WeightDecay;

        var found = default(Sums);
        foreach (var group in groups.Where(group => group.Rate > 0))
            found += Run(new Look(length, beta1, beta2, keep, options.Eps, coupled), [mean, square, walked], group.Runs.Select(run => run.Range));
        if (found.Second == 0) return;
        if (rate > 0)
        {
            numerator.Value = keep * numerator.Value + (1 - keep) * length * found.First;
            d.Value = options.Grown(d.Value, numerator.Value / ((1 - keep) * found.Second));
        }
        var decay = options.Decouple ? options.WeightDecay * length : 0;
        foreach (var group in groups)
            Run(new DAdaptMove(decay, options.Eps), [mean, square], group.Runs.Select(run => run.Range));
        done.Value = k;
    }

    private readonly struct Look(double length, double beta1, double beta2, double keep, double eps, double coupled) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A | Streams.B | Streams.C;
        public static Streams Writes => Streams.A | Streams.B | Streams.C | Streams.Sums;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            var g = x.G + x.P * coupled;
            x.Sum1 = g * x.C / (L.Root(x.B) + eps);
            x.A = x.A * beta1 + g * (length * (1 - beta1));
            x.B = x.B * beta2 + g * g * (1 - beta2);
            x.C = x.C * keep + g * (length * (1 - keep));
            x.Sum2 = L.Size(x.C);
        }
    }
}

// A step by a first moment that holds the step length, over the root of the second.
internal readonly struct DAdaptMove(double decay, double eps) : IElementRule
{
    public static Streams Reads => Streams.Parameter | Streams.A | Streams.B;
    public static Streams Writes => Streams.Parameter;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L> => x.P = x.P * (1 - decay) - x.A / (L.Root(x.B) + eps);
}
