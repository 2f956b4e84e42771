using System.Runtime.CompilerServices;
using Levain.Core;
using Levain.Training.EightBit;
using Levain.Training.Elements;

namespace Levain.Training;

public static partial class Optimizers
{
    private const string AdEmaMixSummary = "AdamW with a second, much slower gradient mean";

    private static Uri AdEmaMixPaper => new("https://arxiv.org/abs/2409.03137");

    /// <summary>AdamW with a fast and a slow mean.</summary>
    public static Optimizer AdEmaMix { get; } = OfBnb("AdEMAMix", "ademamix", AdEmaMixSummary, AdEmaMixPaper, new AdEmaMixOptions { StateBits = AdEmaMixOptions.Full, BitsChosen = true, MayBePaged = true });

    /// <summary>As <see cref="AdEmaMix"/>, in 8-bit blocks.</summary>
    public static Optimizer AdEmaMix8bit { get; } = OfBnb("AdEMAMix8bit", "ademamix", AdEmaMixSummary + ", moments of 8 bits", AdEmaMixPaper, new AdEmaMixOptions { MayBePaged = true });

    /// <summary>As <see cref="AdEmaMix"/>.</summary>
    public static Optimizer PagedAdEmaMix { get; } = OfBnb("PagedAdEMAMix", "ademamix", AdEmaMixSummary + "; networks are too small to be paged", AdEmaMixPaper, new AdEmaMixOptions { StateBits = AdEmaMixOptions.Full, BitsChosen = true });

    /// <summary>As <see cref="AdEmaMix8bit"/>.</summary>
    public static Optimizer PagedAdEmaMix8bit { get; } = OfBnb("PagedAdEMAMix8bit", "ademamix", AdEmaMixSummary + ", moments of 8 bits; networks are too small to be paged", AdEmaMixPaper, new AdEmaMixOptions());
}

/// <summary>Options of <see cref="Optimizers.AdEmaMix"/> and its other forms.</summary>
public sealed record AdEmaMixOptions : BlockOptions
{
    /// <summary>Shares that a step keeps of the old fast mean, second moment and slow mean, each 0 to below 1. Default [0.9, 0.999, 0.9999].</summary>
    public IReadOnlyList<double> Betas { get; init; } = [0.9, 0.999, 0.9999];

    /// <summary>Weight of the slow mean. Default 5.</summary>
    public double Alpha { get; init; } = 5;

    /// <summary>Steps over which <see cref="Alpha"/> grows to its number; null or 0: it is there at once.</summary>
    public int? TAlpha { get; init; }

    /// <summary>Steps over which the slow mean's share grows from the fast one's; null or 0: it is there at once.</summary>
    public int? TBeta3 { get; init; }

    /// <summary>Added to the root of the second moment, 0 or more. Default 1e-8.</summary>
    public double Eps { get; init; } = 1e-8;

    /// <summary>Decay of the weights after the step, 0 or more. Default 0.01.</summary>
    public double WeightDecay { get; init; } = 0.01;

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map)
    {
        if (MayBePaged) Idle(map, "is_paged");
        return this with
        {
            Betas = map.Numbers("betas", Betas)!,
            Alpha = map.Number("alpha", Alpha),
            TAlpha = map.OptionalWhole("t_alpha", TAlpha),
            TBeta3 = map.OptionalWhole("t_beta3", TBeta3),
            Eps = map.Number("eps", Eps),
            WeightDecay = map.Number("weight_decay", WeightDecay),
            Min8bitSize = map.Whole("min_8bit_size", Min8bitSize),
            OptimBits = BitsChosen ? map.Whole("optim_bits", OptimBits) : OptimBits,
        };
    }

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        problems.Require(Betas.Count == 3 && Betas.All(beta => beta is >= 0 and < 1), "betas", $"is [{string.Join(", ", Betas)}].", "Give three numbers of 0 to below 1: [0.9, 0.999, 0.9999].");
        problems.Require(!(TBeta3 > 0) || Betas is [> 0, _, > 0], "t_beta3", $"is {TBeta3}, and a share of 0 has nothing to grow from.", "Leave it out, or use shares above 0.");
        problems.Require(TAlpha is null or >= 0, "t_alpha", $"is {TAlpha}.", "Use the steps of the run, or leave it out.");
        problems.Require(TBeta3 is null or >= 0, "t_beta3", $"is {TBeta3}.", "Use the steps of the run, or leave it out.");
        CheckEpsilon(problems, Eps);
        CheckDecay(problems, WeightDecay);
        problems.Require(OptimBits is Full or Eight, "optim_bits", $"is {OptimBits}.", "Use 32 or 8.");
        CheckSize(problems);
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => new AdEmaMixRule(this, parameters);
}

// Pagliardini et al. 2024 as bitsandbytes' CUDA kernels compute it: the decay behind the step.
internal sealed class AdEmaMixRule(AdEmaMixOptions options, TrainedParameters parameters) : BlockRule(parameters, options.Smallest, moments: 3)
{
    public override void Step(IReadOnlyList<GroupStep> groups)
    {
        foreach (var group in groups)
            foreach (var run in group.Runs)
            {
                var (beta1, beta2) = (Momentum ?? options.Betas[0], options.Betas[1]);
                Apply(new Mix(group.Rate, group.Rate * options.WeightDecay, beta1, beta2, Slow(beta1, run.Update), Weight(run.Update),
                    1 - Math.Pow(beta1, run.Update), Math.Sqrt(1 - Math.Pow(beta2, run.Update)), options.Eps), run);
            }
    }

    private double Weight(long update) => options.TAlpha is > 0 and var steps ? Math.Min(update * options.Alpha / steps, options.Alpha) : options.Alpha;

    // The slow mean's share grows so that its half-life does so evenly.
    private double Slow(double beta1, long update)
    {
        var beta3 = options.Betas[2];
        if (options.TBeta3 is not (> 0 and var steps)) return beta3;
        var (fast, slow, done) = (Math.Log(beta1), Math.Log(beta3), update / (double)steps);
        return Math.Min(Math.Exp(fast * slow / ((1 - done) * slow + done * fast)), beta3);
    }

    private readonly struct Mix(double rate, double decay, double beta1, double beta2, double beta3, double alpha, double meanCorrection, double squareCorrection, double eps) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A | Streams.B | Streams.C;
        public static Streams Writes => Streams.Parameter | Streams.A | Streams.B | Streams.C;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            x.A = x.A * beta1 + x.G * (1 - beta1);
            x.B = x.B * beta2 + x.G * x.G * (1 - beta2);
            x.C = x.C * beta3 + x.G * (1 - beta3);
            x.P = (x.P - (x.A * (1 / meanCorrection) + x.C * alpha) / (L.Root(x.B) * (1 / squareCorrection) + eps) * rate) * (1 - decay);
        }
    }
}
