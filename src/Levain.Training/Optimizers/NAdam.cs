using System.Runtime.CompilerServices;
using Levain.Core;
using Levain.Training.Elements;
using static TorchSharp.torch;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>Adam with Nesterov's momentum.</summary>
    public static Optimizer NAdam { get; } = new("NAdam", "Adam with momentum that looks ahead", new("https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ"), new NAdamOptions())
    {
        Class = "torch.optim.nadam.NAdam",
        Aliases = ["torch.optim.NAdam"],
        CaseMatters = true,
    };
}

/// <summary>Options of <see cref="Optimizers.NAdam"/>.</summary>
public sealed record NAdamOptions : OptimizerOptions
{
    /// <summary>Shares of the old first and second moment that a step keeps, each 0 to below 1. Default [0.9, 0.999].</summary>
    public IReadOnlyList<double> Betas { get; init; } = [0.9, 0.999];

    /// <summary>Added to the root of the second moment, 0 or more. Default 1e-8.</summary>
    public double Eps { get; init; } = 1e-8;

    /// <summary>Decay of the weights, 0 or more. Default 0.</summary>
    public double WeightDecay { get; init; }

    /// <summary>How fast the momentum reaches its full share. Default 0.004.</summary>
    public double MomentumDecay { get; init; } = 4e-3;

    /// <summary>Whether weights decay apart from the gradient, as in AdamW. Default off.</summary>
    public bool DecoupledWeightDecay { get; init; }

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map)
    {
        TorchOnly(map);
        return this with
        {
            Betas = map.Numbers("betas", Betas)!,
            Eps = map.Number("eps", Eps),
            WeightDecay = map.Number("weight_decay", WeightDecay),
            MomentumDecay = map.Number("momentum_decay", MomentumDecay),
            DecoupledWeightDecay = map.Flag("decoupled_weight_decay", DecoupledWeightDecay),
            Maximize = map.Flag("maximize", Maximize),
        };
    }

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        CheckBetas(problems, Betas);
        CheckEpsilon(problems, Eps);
        CheckDecay(problems, WeightDecay);
        problems.Require(MomentumDecay >= 0, "momentum_decay", $"is {MomentumDecay}.", "Use 0 or more; 0.004 is usual.");
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => new NAdamRule(this, parameters);
}

// Dozat 2016, as torch.optim.NAdam computes it.
internal sealed class NAdamRule : UpdateRule
{
    // The paper's: the momentum's share rises as 1 − 0.5·0.96^(t·momentum_decay).
    private const double Rise = 0.96;

    private readonly NAdamOptions options;
    private readonly Tensor mean, square;
    private (long Update, double Product) last = (0, 1);

    public NAdamRule(NAdamOptions options, TrainedParameters parameters) : base(parameters) => (this.options, mean, square) = (options, Slot("exp_avg"), Slot("exp_avg_sq"));

    public override void Step(IReadOnlyList<GroupStep> groups)
    {
        foreach (var group in groups)
            foreach (var run in group.Runs)
            {
                var (beta1, beta2) = (Momentum ?? options.Betas[0], options.Betas[1]);
                var (now, next, product) = (Share(run.Update), Share(run.Update + 1), Product(run.Update));
                var (coupled, decay) = options.DecoupledWeightDecay ? (0.0, group.Rate * options.WeightDecay) : (options.WeightDecay, 0.0);
                Run(new Ahead(beta1, beta2, coupled, decay, group.Rate * (1 - now) / (1 - product), group.Rate * next / (1 - product * next), 1 - Math.Pow(beta2, run.Update), options.Eps),
                    [mean, square], [run.Range]);
            }
    }

    private double Share(long update) => (Momentum ?? options.Betas[0]) * (1 - 0.5 * Math.Pow(Rise, update * options.MomentumDecay));

    // The product of all shares so far; a run that goes on multiplies them up again.
    private double Product(long update)
    {
        if (update < last.Update) last = (0, 1);
        while (last.Update < update) last = (last.Update + 1, last.Product * Share(last.Update + 1));
        return last.Product;
    }

    private readonly struct Ahead(double beta1, double beta2, double coupled, double decay, double gradientRate, double meanRate, double correction, double eps) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A | Streams.B;
        public static Streams Writes => Streams.Parameter | Streams.A | Streams.B;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            var g = x.G + x.P * coupled;
            x.A += (g - x.A) * (1 - beta1);
            x.B = x.B * beta2 + g * g * (1 - beta2);
            x.P = x.P * (1 - decay) - (g * gradientRate + x.A * meanRate) / (L.Root(x.B * (1 / correction)) + eps);
        }
    }
}
