using System.Runtime.CompilerServices;
using Levain.Training.Elements;
using static TorchSharp.torch;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>Adam that finds its step length, by the preprint's rule.</summary>
    public static Optimizer DAdaptAdamPreprint { get; } = new(
        "DAdaptAdamPreprint", "Adam that finds its step length itself, by the first version of the paper", new("https://arxiv.org/abs/2301.07733v1"), new DAdaptAdamOptions { Preprint = true })
    {
        Class = "dadaptation.experimental.dadapt_adam_preprint.DAdaptAdamPreprint",
        Aliases = ["dadaptation.experimental.DAdaptAdamPreprint"],
        AlsoKnownAs = ["DAdaptation"],
        Rates = RateUse.Multiplier,
        NeedsRate = true,
        Advice = "Older guides say DAdaptation and mean what is DAdaptAdam now; settings are the same.",
    };
}

internal sealed class DAdaptAdamPreprintRule : UpdateRule
{
    private readonly DAdaptAdamOptions options;
    private readonly Tensor mean, square, walked;
    private readonly Number d, weighted, done;

    public DAdaptAdamPreprintRule(DAdaptAdamOptions options, TrainedParameters parameters) : base(parameters)
    {
        this.options = options;
        (mean, square, walked) = (Slot("exp_avg"), Slot("exp_avg_sq"), Slot("s"));
        (d, weighted, done) = (Remember("d", options.D0), Remember("gsq_weighted"), Remember("k"));
    }

    public override double? Distance => d.Value;

    public override void Step(IReadOnlyList<GroupStep> groups)
    {
        var rate = SharedRate(groups);
        var (beta1, beta2) = (Momentum ?? options.Betas[0], options.Betas[1]);
        var length = d.Value * rate;
        var coupled = options.Decouple ? 0 : options.WeightDecay;

        var found = default(Sums);
        foreach (var group in groups.Where(group => group.Rate > 0))
            found += Run(new Look(length, beta1, beta2, options.Eps, coupled), [mean, square, walked], group.Runs.Select(run => run.Range));
        if (found.Second == 0) return;
        weighted.Value = beta2 * weighted.Value + length * length * (1 - beta2) * found.First;
        if (rate > 0) d.Value = options.Grown(d.Value, (found.Third / (1 - beta2) - weighted.Value) / found.Second);
        foreach (var group in groups)
        {
            var decay = options.Decouple && group.Rate > 0 ? options.WeightDecay * length : 0;
            Run(new DAdaptMove(decay, options.Eps), [mean, square], group.Runs.Select(run => run.Range));
        }
        done.Value++;
    }

    private readonly struct Look(double length, double beta1, double beta2, double eps, double coupled) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A | Streams.B | Streams.C;
        public static Streams Writes => Streams.A | Streams.B | Streams.C | Streams.Sums;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            var g = x.G + x.P * coupled;
            x.A = x.A * beta1 + g * (length * (1 - beta1));
            x.B = x.B * beta2 + g * g * (1 - beta2);
            x.C = x.C * beta2 + g * (length * (1 - beta2));
            var scale = L.Root(x.B) + eps;
            x.Sum1 = g * g / scale;
            x.Sum2 = L.Size(x.C);
            x.Sum3 = x.C * x.C / scale;
        }
    }
}
