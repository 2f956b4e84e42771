using System.Runtime.CompilerServices;
using Levain.Core;
using Levain.Training.Elements;
using static TorchSharp.torch;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>Adam with weight decay apart from the gradient: what kohya trains with unless told otherwise.</summary>
    public static Optimizer AdamW { get; } = new(
        "AdamW", "Steps of about the learning rate, by gradient mean over root mean square", new("https://arxiv.org/abs/1711.05101"), new AdamWOptions())
    {
        Class = "torch.optim.adamw.AdamW",
        Aliases = ["torch.optim.AdamW"],
        Advice = "U-Net 1e-4, text encoder 5e-5, with a cosine schedule; AdamW8bit does the same with a quarter of the memory.",
    };
}

/// <summary>Options of <see cref="Optimizers.AdamW"/>.</summary>
public sealed record AdamWOptions : OptimizerOptions
{
    /// <summary>Shares of the old first and second moment that a step keeps, each 0 to below 1. Default [0.9, 0.999].</summary>
    public IReadOnlyList<double> Betas { get; init; } = [0.9, 0.999];

    /// <summary>Added to the root of the second moment, 0 or more. Default 1e-8.</summary>
    public double Eps { get; init; } = 1e-8;

    /// <summary>Decay of the weights, apart from the gradient, 0 or more. Default 0.01.</summary>
    public double WeightDecay { get; init; } = 0.01;

    /// <summary>Divides by the largest second moment so far (Reddi et al. 2018, https://arxiv.org/abs/1904.09237). Default off.</summary>
    public bool Amsgrad { get; init; }

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map)
    {
        TorchOnly(map, fused: true);
        return this with
        {
            Betas = map.Numbers("betas", Betas)!,
            Eps = map.Number("eps", Eps),
            WeightDecay = map.Number("weight_decay", WeightDecay),
            Amsgrad = map.Flag("amsgrad", Amsgrad),
            Maximize = map.Flag("maximize", Maximize),
        };
    }

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        CheckBetas(problems, Betas);
        CheckEpsilon(problems, Eps);
        CheckDecay(problems, WeightDecay);
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => new AdamWRule(this, decoupled: true, parameters);
}

// Loshchilov and Hutter 2019, algorithm 2, as torch.optim.AdamW computes it.
internal sealed class AdamWRule : UpdateRule
{
    private readonly AdamWOptions options;
    private readonly bool decoupled;
    private readonly Tensor mean, square;
    private readonly Tensor? largest;

    public AdamWRule(AdamWOptions options, bool decoupled, TrainedParameters parameters) : base(parameters)
    {
        (this.options, this.decoupled) = (options, decoupled);
        (mean, square) = (Slot("exp_avg"), Slot("exp_avg_sq"));
        if (options.Amsgrad) largest = Slot("max_exp_avg_sq");
    }

    public override void Step(IReadOnlyList<GroupStep> groups)
    {
        foreach (var group in groups)
            foreach (var run in group.Runs)
            {
                var moments = MomentsOf(options, decoupled, Momentum ?? options.Betas[0], group.Rate, run.Update);
                if (largest is null) Run(new Adam(moments), [mean, square], [run.Range]);
                else Run(new Amsgrad(moments), [mean, square, largest], [run.Range]);
            }
    }

    /// <summary>AdamW's rule by itself, for another optimizer's vectors.</summary>
    public static Adam Of(AdamWOptions options, double rate, long update) => new(MomentsOf(options, decoupled: true, options.Betas[0], rate, update));

    private static Moments MomentsOf(AdamWOptions options, bool decoupled, double beta1, double rate, long update) => new(
        decoupled ? rate * options.WeightDecay : 0, decoupled ? 0 : options.WeightDecay, beta1, options.Betas[1],
        rate / (1 - Math.Pow(beta1, update)), Math.Sqrt(1 - Math.Pow(options.Betas[1], update)), options.Eps);

    internal readonly record struct Moments(double Decay, double Coupled, double Beta1, double Beta2, double Rate, double Correction, double Eps);

    internal readonly struct Adam(Moments now) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A | Streams.B;
        public static Streams Writes => Streams.Parameter | Streams.A | Streams.B;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            var g = x.G + x.P * now.Coupled;
            x.A += (g - x.A) * (1 - now.Beta1);
            x.B = x.B * now.Beta2 + g * g * (1 - now.Beta2);
            x.P = x.P * (1 - now.Decay) - x.A * now.Rate / (L.Root(x.B) * (1 / now.Correction) + now.Eps);
        }
    }

    private readonly struct Amsgrad(Moments now) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A | Streams.B | Streams.C;
        public static Streams Writes => Streams.Parameter | Streams.A | Streams.B | Streams.C;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            var g = x.G + x.P * now.Coupled;
            x.A += (g - x.A) * (1 - now.Beta1);
            x.B = x.B * now.Beta2 + g * g * (1 - now.Beta2);
            x.C = L.Max(x.C, x.B);
            x.P = x.P * (1 - now.Decay) - x.A * now.Rate / (L.Root(x.C) * (1 / now.Correction) + now.Eps);
        }
    }
}
