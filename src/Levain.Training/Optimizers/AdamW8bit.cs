using System.Runtime.CompilerServices;
using Levain.Core;
using Levain.Training.EightBit;
using Levain.Training.Elements;

namespace Levain.Training;

public static partial class Optimizers
{
    private static Uri EightBitPaper => new("https://arxiv.org/abs/2110.02861");

    /// <summary>AdamW whose moments are 8-bit blocks.</summary>
    public static Optimizer AdamW8bit { get; } = new("AdamW8bit", "AdamW with a quarter of the memory: moments of 8 bits", EightBitPaper, new AdamW8bitOptions { MayBePaged = true })
    {
        Class = "bitsandbytes.optim.adamw.AdamW8bit",
        Aliases = ["bitsandbytes.optim.AdamW8bit"],
        Advice = "The guide's first choice where rates are set by hand: U-Net 1e-4, text encoder 5e-5.",
    };

    /// <summary>The same numbers as <see cref="AdamW8bit"/>; paging is for cards, whose memory spills.</summary>
    public static Optimizer PagedAdamW8bit { get; } = new("PagedAdamW8bit", "AdamW8bit; networks are too small to be paged", EightBitPaper, new AdamW8bitOptions())
    {
        Class = "bitsandbytes.optim.adamw.PagedAdamW8bit",
        Aliases = ["bitsandbytes.optim.PagedAdamW8bit"],
    };

    /// <summary>AdamW in bitsandbytes' order of operations.</summary>
    public static Optimizer PagedAdamW { get; } = new("PagedAdamW", "AdamW that decays after the step; networks are too small to be paged", EightBitPaper, new AdamW8bitOptions { StateBits = AdamW8bitOptions.Full, BitsChosen = true })
    {
        Class = "bitsandbytes.optim.adamw.PagedAdamW",
        Aliases = ["bitsandbytes.optim.PagedAdamW"],
    };

    /// <summary>The same numbers as <see cref="PagedAdamW"/>.</summary>
    public static Optimizer PagedAdamW32bit { get; } = new("PagedAdamW32bit", "PagedAdamW by another name", EightBitPaper, new AdamW8bitOptions { StateBits = AdamW8bitOptions.Full })
    {
        Class = "bitsandbytes.optim.adamw.PagedAdamW32bit",
        Aliases = ["bitsandbytes.optim.PagedAdamW32bit"],
    };
}

/// <summary>Options of <see cref="Optimizers.AdamW8bit"/> and the paged forms.</summary>
public sealed record AdamW8bitOptions : BlockOptions
{
    /// <summary>Shares of the old first and second moment that a step keeps, each 0 to below 1. Default [0.9, 0.999].</summary>
    public IReadOnlyList<double> Betas { get; init; } = [0.9, 0.999];

    /// <summary>Added to the root of the second moment, 0 or more. Default 1e-8.</summary>
    public double Eps { get; init; } = 1e-8;

    /// <summary>Decay of the weights after the step, 0 or more. Default 0.01.</summary>
    public double WeightDecay { get; init; } = 0.01;

    /// <summary>Not there: the 8-bit names refuse it, the others take no notice.</summary>
    public bool Amsgrad { get; init; }

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map)
    {
        Idle(map, MayBePaged ? ["is_paged", "args"] : ["args"]);
        return this with
        {
            Betas = map.Numbers("betas", Betas)!,
            Eps = map.Number("eps", Eps),
            WeightDecay = map.Number("weight_decay", WeightDecay),
            Min8bitSize = map.Whole("min_8bit_size", Min8bitSize),
            Amsgrad = map.Flag("amsgrad", Amsgrad),
            OptimBits = map.Whole("optim_bits", OptimBits),
        };
    }

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        CheckBetas(problems, Betas);
        CheckEpsilon(problems, Eps);
        CheckDecay(problems, WeightDecay);
        problems.Require(!Amsgrad || StateBits == Full, "amsgrad", "is on, and bitsandbytes' rule has none.", "Use AdamW, or leave it out.");
        problems.Require(OptimBits == Full || StateBits == Full && (!BitsChosen || OptimBits == Eight), "optim_bits", $"is {OptimBits}.", "Leave it out: the optimizer's name says it.");
        CheckSize(problems);
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => new AdamW8bitRule(this, parameters);
}

// bitsandbytes' CUDA kernels: both moments in fp32 for the step, the decay behind it.
internal sealed class AdamW8bitRule(AdamW8bitOptions options, TrainedParameters parameters)
    : BlockRule(parameters, options.Smallest, moments: 2)
{
    public override void Step(IReadOnlyList<GroupStep> groups)
    {
        foreach (var group in groups)
            foreach (var run in group.Runs)
            {
                var (beta1, beta2) = (Momentum ?? options.Betas[0], options.Betas[1]);
                var (meanCorrection, squareCorrection) = (1 - Math.Pow(beta1, run.Update), Math.Sqrt(1 - Math.Pow(beta2, run.Update)));
                Apply(new Adam(group.Rate * squareCorrection / meanCorrection, group.Rate * options.WeightDecay, beta1, beta2, options.Eps * squareCorrection), run);
            }
    }

    private readonly struct Adam(double rate, double decay, double beta1, double beta2, double eps) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A | Streams.B;
        public static Streams Writes => Streams.Parameter | Streams.A | Streams.B;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            x.A = x.A * beta1 + x.G * (1 - beta1);
            x.B = x.B * beta2 + x.G * x.G * (1 - beta2);
            x.P = (x.P - x.A / (L.Root(x.B) + eps) * rate) * (1 - decay);
        }
    }
}
