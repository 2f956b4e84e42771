using System.Runtime.CompilerServices;
using Levain.Core;
using Levain.Training.Elements;
using static TorchSharp.torch;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>Steps as long as the last ones were, in the gradient's direction.</summary>
    public static Optimizer Adadelta { get; } = new("Adadelta", "Steps as long as the last ones were, by the gradient's direction", new("https://arxiv.org/abs/1212.5701"), new AdadeltaOptions())
    {
        Class = "torch.optim.adadelta.Adadelta",
        Aliases = ["torch.optim.Adadelta"],
        CaseMatters = true,
        Advice = "Its learning rate is 1 as a rule.",
    };
}

/// <summary>Options of <see cref="Optimizers.Adadelta"/>.</summary>
public sealed record AdadeltaOptions : OptimizerOptions
{
    /// <summary>Share of the old mean squares that a step keeps, 0 to 1. Default 0.9.</summary>
    public double Rho { get; init; } = 0.9;

    /// <summary>Added to mean squares, 0 or more. Default 1e-6.</summary>
    public double Eps { get; init; } = 1e-6;

    /// <summary>Decay of the weights, added to the gradient; 0 or more. Default 0.</summary>
    public double WeightDecay { get; init; }

    /// <inheritdoc/>
    public override bool HasMomentum => false;

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map)
    {
        TorchOnly(map);
        return this with { Rho = map.Number("rho", Rho), Eps = map.Number("eps", Eps), WeightDecay = map.Number("weight_decay", WeightDecay), Maximize = map.Flag("maximize", Maximize) };
    }

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        problems.Require(Rho is >= 0 and <= 1, "rho", $"is {Rho}.", "Use 0 to 1; 0.9 is usual.");
        CheckEpsilon(problems, Eps);
        CheckDecay(problems, WeightDecay);
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => new AdadeltaRule(this, parameters);
}

// Zeiler 2012, algorithm 1, as torch.optim.Adadelta computes it.
internal sealed class AdadeltaRule : UpdateRule
{
    private readonly AdadeltaOptions options;
    private readonly Tensor square, steps;

    public AdadeltaRule(AdadeltaOptions options, TrainedParameters parameters) : base(parameters) => (this.options, square, steps) = (options, Slot("square_avg"), Slot("acc_delta"));

    public override void Step(IReadOnlyList<GroupStep> groups)
    {
        foreach (var group in groups)
            Run(new Delta(group.Rate, options.WeightDecay, options.Rho, options.Eps), [square, steps], group.Runs.Select(run => run.Range));
    }

    private readonly struct Delta(double rate, double decay, double rho, double eps) : IElementRule
    {
        public static Streams Reads => Streams.Parameter | Streams.Gradient | Streams.A | Streams.B;
        public static Streams Writes => Streams.Parameter | Streams.A | Streams.B;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L>
        {
            var g = x.G + x.P * decay;
            x.A = x.A * rho + g * g * (1 - rho);
            var step = L.Root(x.B + eps) / L.Root(x.A + eps) * g;
            x.B = x.B * rho + step * step * (1 - rho);
            x.P -= step * rate;
        }
    }
}
