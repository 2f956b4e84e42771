using System.Runtime.CompilerServices;
using Levain.Core;
using Levain.Training.Elements;
using static TorchSharp.torch;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>Adam that trusts its second moment only once it is known.</summary>
    public static Optimizer RAdam { get; } = new("RAdam", "Adam that warms up by itself", new("https://arxiv.org/abs/1908.03265"), new RAdamOptions())
    {
        Class = "torch.optim.radam.RAdam",
        Aliases = ["torch.optim.RAdam"],
        CaseMatters = true,
    };
}

/// <summary>Options of <see cref="Optimizers.RAdam"/>.</summary>
public sealed record RAdamOptions : OptimizerOptions
{
    /// <summary>Shares of the old first and second moment that a step keeps, each 0 to below 1. Default [0.9, 0.999].</summary>
    public IReadOnlyList<double> Betas { get; init; } = [0.9, 0.999];

    /// <summary>Added to the root of the second moment, 0 or more. Default 1e-8.</summary>
    public double Eps { get; init; } = 1e-8;

    /// <summary>Decay of the weights, 0 or more. Default 0.</summary>
    public double WeightDecay { get; init; }

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
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => new RAdamRule(this, parameters);
}

// Liu et al. 2019, algorithm 2, as torch.optim.RAdam computes it: rectified from a length of 5 on.
internal sealed class RAdamRule : UpdateRule
{
    private const double Enough = 5;

    private readonly RAdamOptions options;
    private readonly Tensor mean, square;

    public RAdamRule(RAdamOptions options, TrainedParameters parameters) : base(parameters) => (this.options, mean, square) = (options, Slot("exp_avg"), Slot("exp_avg_sq"));

    public override void Step(IReadOnlyList<GroupStep> groups)
    {
        foreach (var group in groups)
            foreach (var run in group.Runs)
            {
                var (beta1, beta2) = (Momentum ?? options.Betas[0], options.Betas[1]);
                var (most, now) = RAdamScheduleFreeRule.Lengths(beta2, run.Update);
                var (coupled, decay) = options.DecoupledWeightDecay ? (0.0, group.Rate * options.WeightDecay) : (options.WeightDecay, 0.0);
                var rate = group.Rate / (1 - Math.Pow(beta1, run.Update));
                if (now > Enough)
                    Run(new Rectified(beta1, beta2, coupled, decay, rate * RAdamScheduleFreeRule.Rectification(most, now) * Math.Sqrt(1 - Math.Pow(beta2, run.Update)), options.Eps), [mean, square], [run.Range]);
                else Run(new Plain(beta1, beta2, coupled, decay, rate), [mean, square], [run.Range]);
            }
    }

    private readonly struct Rectified(double beta1, double beta2, double coupled, double decay, double rate, double eps) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A | Streams.B;
        public static Streams Writes => Streams.Parameter | Streams.A | Streams.B;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            var g = x.G + x.P * coupled;
            x.A += (g - x.A) * (1 - beta1);
            x.B = x.B * beta2 + g * g * (1 - beta2);
            x.P = x.P * (1 - decay) - x.A * rate / (L.Root(x.B) + eps);
        }
    }

    private readonly struct Plain(double beta1, double beta2, double coupled, double decay, double rate) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A | Streams.B;
        public static Streams Writes => Streams.Parameter | Streams.A | Streams.B;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            var g = x.G + x.P * coupled;
            x.A += (g - x.A) * (1 - beta1);
            x.B = x.B * beta2 + g * g * (1 - beta2);
            x.P = x.P * (1 - decay) - x.A * rate;
        }
    }
}
