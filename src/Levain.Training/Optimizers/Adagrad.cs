using System.Runtime.CompilerServices;
using Levain.Core;
using Levain.Training.Elements;
using static TorchSharp.torch;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>Gradients over the root of the sum of all squares.</summary>
    public static Optimizer Adagrad { get; } = new("Adagrad", "Gradients over the root of the sum of all their squares", new("https://jmlr.org/papers/v12/duchi11a.html"), new AdagradOptions())
    {
        Class = "torch.optim.adagrad.Adagrad",
        Aliases = ["torch.optim.Adagrad"],
        CaseMatters = true,
    };
}

/// <summary>Options of <see cref="Optimizers.Adagrad"/>.</summary>
public sealed record AdagradOptions : OptimizerOptions
{
    /// <summary>The rate is divided by 1 + this × steps before. Default 0.</summary>
    public double LrDecay { get; init; }

    /// <summary>Decay of the weights, added to the gradient; 0 or more. Default 0.</summary>
    public double WeightDecay { get; init; }

    /// <summary>What sums of squares begin with, 0 or more. Default 0.</summary>
    public double InitialAccumulatorValue { get; init; }

    /// <summary>Added to the root of the sum, 0 or more. Default 1e-10.</summary>
    public double Eps { get; init; } = 1e-10;

    /// <inheritdoc/>
    public override bool HasMomentum => false;

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map)
    {
        TorchOnly(map, fused: true, capturable: false);
        return this with
        {
            LrDecay = map.Number("lr_decay", LrDecay),
            WeightDecay = map.Number("weight_decay", WeightDecay),
            InitialAccumulatorValue = map.Number("initial_accumulator_value", InitialAccumulatorValue),
            Eps = map.Number("eps", Eps),
            Maximize = map.Flag("maximize", Maximize),
        };
    }

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        problems.Require(LrDecay >= 0, "lr_decay", $"is {LrDecay}.", "Use 0 or more.");
        problems.Require(InitialAccumulatorValue >= 0, "initial_accumulator_value", $"is {InitialAccumulatorValue}.", "Use 0 or more.");
        CheckEpsilon(problems, Eps);
        CheckDecay(problems, WeightDecay);
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => new AdagradRule(this, parameters);
}

// Duchi et al. 2011, as torch.optim.Adagrad computes it.
internal sealed class AdagradRule : UpdateRule
{
    private readonly AdagradOptions options;
    private readonly Tensor sum;

    public AdagradRule(AdagradOptions options, TrainedParameters parameters) : base(parameters)
    {
        (this.options, sum) = (options, Slot("sum"));
        sum.fill_(options.InitialAccumulatorValue);
    }

    public override void Step(IReadOnlyList<GroupStep> groups)
    {
        foreach (var group in groups)
            foreach (var run in group.Runs)
                Run(new Sum(group.Rate / (1 + (run.Update - 1) * options.LrDecay), options.WeightDecay, options.Eps), [sum], [run.Range]);
    }

    private readonly struct Sum(double rate, double decay, double eps) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A;
        public static Streams Writes => Streams.Parameter | Streams.A;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            var g = x.G + x.P * decay;
            x.A += g * g;
            x.P -= g * rate / (L.Root(x.A) + eps);
        }
    }
}
