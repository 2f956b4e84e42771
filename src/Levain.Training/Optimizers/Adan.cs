using System.Runtime.CompilerServices;
using Levain.Core;
using Levain.Training.Elements;
using static TorchSharp.torch;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>Adam that also follows how gradients change.</summary>
    public static Optimizer Adan { get; } = new("Adan", "Adam with momentum that looks ahead by how gradients change", new("https://arxiv.org/abs/2208.06677"), new AdanOptions())
    {
        Class = "pytorch_optimizer.optimizer.adan.Adan",
        Aliases = ["pytorch_optimizer.Adan"],
        ByPathInKohya = true,
        Renamed = new Dictionary<string, string> { ["max_grad_norm"] = "clip_norm" },
    };
}

/// <summary>Options of <see cref="Optimizers.Adan"/>.</summary>
public sealed record AdanOptions : OptimizerOptions
{
    /// <summary>Shares that a step keeps of the old gradient mean, mean of differences and second moment, each 0 to below 1. Default [0.98, 0.92, 0.99].</summary>
    public IReadOnlyList<double> Betas { get; init; } = [0.98, 0.92, 0.99];

    /// <summary>Added to the root of the second moment, 0 or more. Default 1e-8.</summary>
    public double Eps { get; init; } = 1e-8;

    /// <summary>Decay of the weights, 0 or more. Default 0.</summary>
    public double WeightDecay { get; init; }

    /// <summary>Decays before the step, as AdamW, rather than after it. Default off.</summary>
    public bool WeightDecouple { get; init; }

    /// <summary>Longest gradient of all groups together, after what <c>max_grad_norm</c> has left; 0: no limit. Default 0.</summary>
    public double ClipNorm { get; init; }

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map)
    {
        map.TakeOthers("use_gc", "adanorm", "adanorm_r");
        return this with
        {
            Betas = map.Numbers("betas", Betas)!,
            Eps = map.Number("eps", Eps),
            WeightDecay = map.Number("weight_decay", WeightDecay),
            WeightDecouple = map.Flag("weight_decouple", WeightDecouple),
            ClipNorm = map.Number("clip_norm", ClipNorm),
            Maximize = map.Flag("maximize", Maximize),
        };
    }

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        CheckBetas(problems, Betas, count: 3);
        CheckEpsilon(problems, Eps);
        CheckDecay(problems, WeightDecay);
        problems.Require(ClipNorm >= 0, "clip_norm", $"is {ClipNorm}.", "Use 0 or more; 0 clips nothing.");
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => new AdanRule(this, parameters);
}

// Xie et al. 2022, algorithm 1, as pytorch-optimizer computes it; betas are shares that are kept, the paper's are shares that enter.
internal sealed class AdanRule : UpdateRule
{
    private readonly AdanOptions options;
    private readonly Tensor mean, difference, square, before;
    private readonly Number done;

    public AdanRule(AdanOptions options, TrainedParameters parameters) : base(parameters)
    {
        (this.options, mean, difference, square, before) = (options, Slot("exp_avg"), Slot("exp_avg_diff"), Slot("exp_avg_sq"), Slot("previous_grad"));
        done = Remember("step");
    }

    public override void Step(IReadOnlyList<GroupStep> groups)
    {
        var t = ++done.Value;
        var (beta1, beta2, beta3) = (Momentum ?? options.Betas[0], options.Betas[1], options.Betas[2]);
        var scale = options.ClipNorm == 0 ? 1 : Math.Min(1, options.ClipNorm / (Math.Sqrt(Run(new Squares(), [], groups.SelectMany(group => group.Runs.Select(run => run.Range))).First) + options.Eps));
        // pytorch-optimizer notes the first gradient before it turns it round: climbing begins with twice its length as the change.
        var begin = options.Maximize ? 2 : 0;
        foreach (var group in groups)
            foreach (var run in group.Runs)
            {
                var decay = group.Rate * options.WeightDecay;
                var (first, after) = options.WeightDecouple ? (1 - decay, 1.0) : (1.0, 1 + decay);
                Run(new Ahead(beta1, beta2, beta3, options.Eps, group.Rate / (1 - Math.Pow(beta1, t)), group.Rate * beta2 / (1 - Math.Pow(beta2, t)),
                    Math.Sqrt(1 - Math.Pow(beta3, t)), first, after, run.Update > 1 ? 1 : begin, scale), [mean, difference, square, before], [run.Range]);
            }
    }

    // Earlier is 0 where there is no earlier gradient to compare with.
    private readonly struct Ahead(double beta1, double beta2, double beta3, double eps, double meanRate, double differenceRate, double correction, double first, double after, double earlier, double scale) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A | Streams.B | Streams.C | Streams.D;
        public static Streams Writes => Streams.Parameter | Streams.A | Streams.B | Streams.C | Streams.D;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            var g = x.G * scale;
            var change = (g - x.D) * earlier;
            var ahead = g + change * beta2;
            x.A = x.A * beta1 + g * (1 - beta1);
            x.B = x.B * beta2 + change * (1 - beta2);
            x.C = x.C * beta3 + ahead * ahead * (1 - beta3);
            x.D = g;
            x.P = (x.P * first - (x.A * meanRate + x.B * differenceRate) / (L.Root(x.C) * (1 / correction) + eps)) * (1 / after);
        }
    }
}
