using System.Runtime.CompilerServices;
using Levain.Core;
using Levain.Training.Elements;
using static TorchSharp.torch;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>Adam with a largest gradient in place of a mean square.</summary>
    public static Optimizer Adamax { get; } = new("Adamax", "Adam with a slowly forgotten largest gradient in place of the second moment", new("https://arxiv.org/abs/1412.6980"), new AdamaxOptions())
    {
        Class = "torch.optim.adamax.Adamax",
        Aliases = ["torch.optim.Adamax"],
        CaseMatters = true,
    };
}

/// <summary>Options of <see cref="Optimizers.Adamax"/>.</summary>
public sealed record AdamaxOptions : OptimizerOptions
{
    /// <summary>Shares of the old first moment and of the old largest gradient that a step keeps, each 0 to below 1. Default [0.9, 0.999].</summary>
    public IReadOnlyList<double> Betas { get; init; } = [0.9, 0.999];

    /// <summary>Added to gradients' sizes, 0 or more. Default 1e-8.</summary>
    public double Eps { get; init; } = 1e-8;

    /// <summary>Decay of the weights, added to the gradient; 0 or more. Default 0.</summary>
    public double WeightDecay { get; init; }

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map)
    {
        TorchOnly(map);
        return this with { Betas = map.Numbers("betas", Betas)!, Eps = map.Number("eps", Eps), WeightDecay = map.Number("weight_decay", WeightDecay), Maximize = map.Flag("maximize", Maximize) };
    }

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        CheckBetas(problems, Betas);
        CheckEpsilon(problems, Eps);
        CheckDecay(problems, WeightDecay);
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => new AdamaxRule(this, parameters);
}

// Kingma and Ba 2015, algorithm 2, as torch.optim.Adamax computes it.
internal sealed class AdamaxRule : UpdateRule
{
    private readonly AdamaxOptions options;
    private readonly Tensor mean, largest;

    public AdamaxRule(AdamaxOptions options, TrainedParameters parameters) : base(parameters) => (this.options, mean, largest) = (options, Slot("exp_avg"), Slot("exp_inf"));

    public override void Step(IReadOnlyList<GroupStep> groups)
    {
        foreach (var group in groups)
            foreach (var run in group.Runs)
            {
                var beta1 = Momentum ?? options.Betas[0];
                Run(new Largest(group.Rate / (1 - Math.Pow(beta1, run.Update)), options.WeightDecay, beta1, options.Betas[1], options.Eps), [mean, largest], [run.Range]);
            }
    }

    private readonly struct Largest(double rate, double decay, double beta1, double beta2, double eps) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A | Streams.B;
        public static Streams Writes => Streams.Parameter | Streams.A | Streams.B;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            var g = x.G + x.P * decay;
            x.A += (g - x.A) * (1 - beta1);
            x.B = L.Max(x.B * beta2, L.Size(g) + eps);
            x.P -= x.A * rate / x.B;
        }
    }
}
