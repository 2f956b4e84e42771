using System.Runtime.CompilerServices;
using Levain.Core;
using Levain.Training.Elements;
using static TorchSharp.torch;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>Steps of exactly the learning rate in the direction of a mixed momentum's sign.</summary>
    public static Optimizer Lion { get; } = new(
        "Lion", "Every element moves by exactly the learning rate", new("https://arxiv.org/abs/2302.06675"), new LionOptions())
    {
        Class = "lion_pytorch.lion_pytorch.Lion",
        Aliases = ["lion_pytorch.Lion"],
        NeedsRate = true,
        Advice = "A third to a tenth of AdamW's learning rate, and as much more weight decay.",
    };
}

/// <summary>Options of <see cref="Optimizers.Lion"/>.</summary>
public sealed record LionOptions : OptimizerOptions
{
    /// <summary>Shares of the old momentum: in the sign, and in what is kept; each 0 to 1. Default [0.9, 0.99].</summary>
    public IReadOnlyList<double> Betas { get; init; } = [0.9, 0.99];

    /// <summary>Decay of the weights, apart from the gradient, 0 or more. Default 0.</summary>
    public double WeightDecay { get; init; }

    /// <summary>Decays by <see cref="WeightDecay"/> at the highest learning rate, whatever that is, and less as the rate falls. Default off.</summary>
    public bool DecoupledWeightDecay { get; init; }

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map)
    {
        Idle(map, "use_triton");
        return this with
        {
            Betas = map.Numbers("betas", Betas)!,
            WeightDecay = map.Number("weight_decay", WeightDecay),
            DecoupledWeightDecay = map.Flag("decoupled_weight_decay", DecoupledWeightDecay),
        };
    }

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        problems.Require(Betas.Count == 2 && Betas.All(beta => beta is >= 0 and <= 1), "betas", $"is [{string.Join(", ", Betas)}].", "Give two numbers of 0 to 1: [0.9, 0.99].");
        CheckDecay(problems, WeightDecay);
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => new LionRule(this, parameters);
}

// Chen et al. 2023, program 1.
internal sealed class LionRule : UpdateRule
{
    private readonly LionOptions options;
    private readonly Tensor mean;

    public LionRule(LionOptions options, TrainedParameters parameters) : base(parameters) => (this.options, mean) = (options, Slot("exp_avg"));

    public override void Step(IReadOnlyList<GroupStep> groups)
    {
        foreach (var group in groups)
        {
            // lion-pytorch divides by the rate its optimizer was made with, whatever a group's own is.
            var decay = options.DecoupledWeightDecay ? options.WeightDecay / Parameters.LearningRate : options.WeightDecay;
            Run(new Signs(group.Rate, group.Rate * decay, Momentum ?? options.Betas[0], options.Betas[1]), [mean], group.Runs.Select(run => run.Range));
        }
    }

    internal readonly struct Signs(double rate, double decay, double beta1, double beta2) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A;
        public static Streams Writes => Streams.Parameter | Streams.A;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            x.P = x.P * (1 - decay) - L.Sign(x.A * beta1 + x.G * (1 - beta1)) * rate;
            x.A = x.A * beta2 + x.G * (1 - beta2);
        }
    }
}
