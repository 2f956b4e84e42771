using Levain.Core;
using static TorchSharp.torch;

namespace Levain.Training;

public static partial class Optimizers
{
    /// <summary>AdaFactor as torch has it.</summary>
    public static Optimizer TorchAdaFactor { get; } = new(
        "torch.optim.Adafactor", "AdaFactor as torch has it: steps of a rate that is given, relative to the size of what is trained", new("https://arxiv.org/abs/1804.04235"), new TorchAdaFactorOptions())
    {
        Class = "torch.optim._adafactor.Adafactor",
        CaseMatters = true,
    };
}

/// <summary>Options of <see cref="Optimizers.TorchAdaFactor"/>.</summary>
public sealed record TorchAdaFactorOptions : OptimizerOptions
{
    /// <summary>Power of the step number that the second moment forgets with, 0 or less. Default −0.8.</summary>
    public double Beta2Decay { get; init; } = -0.8;

    /// <summary>Least root of the second moment, and the least size of a tensor. Default: the smallest step of the numbers' precision, and 1e-3.</summary>
    public IReadOnlyList<double>? Eps { get; init; }

    /// <summary>Longest update, as a root mean square; 1 or more. Default 1.</summary>
    public double D { get; init; } = 1;

    /// <summary>Decay of the weights, apart from the gradient, 0 or more. Default 0.</summary>
    public double WeightDecay { get; init; }

    /// <inheritdoc/>
    public override bool HasMomentum => false;

    /// <inheritdoc/>
    public override OptimizerOptions Map(TomlMap map)
    {
        Idle(map, "foreach");
        return this with
        {
            Beta2Decay = map.Number("beta2_decay", Beta2Decay),
            Eps = map.Numbers("eps", Eps),
            D = map.Number("d", D),
            WeightDecay = map.Number("weight_decay", WeightDecay),
            Maximize = map.Flag("maximize", Maximize),
        };
    }

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        problems.Require(Beta2Decay <= 0, "beta2_decay", $"is {Beta2Decay}.", "Use a negative number; -0.8 is usual.");
        problems.Require(Eps is null || Eps.Count == 2 && Eps.All(eps => eps >= 0), "eps", $"is [{string.Join(", ", Eps ?? [])}].", "Leave it out, or give two numbers: [1e-7, 1e-3].");
        problems.Require(D >= 1, "d", $"is {D}.", "Use 1 or more.");
        CheckDecay(problems, WeightDecay);
    }

    /// <inheritdoc/>
    public override UpdateRule Create(TrainedParameters parameters) => new TorchAdaFactorRule(this, parameters);
}

// torch.optim.Adafactor: as AdaFactor's relative steps, with the rate as the longest.
internal sealed class TorchAdaFactorRule : UpdateRule
{
    private const double SmallestSize = 1e-3;

    private readonly TorchAdaFactorOptions options;
    private readonly FactoredMoment square;
    private readonly double floor, size;

    public TorchAdaFactorRule(TorchAdaFactorOptions options, TrainedParameters parameters) : base(parameters)
    {
        this.options = options;
        square = new(parameters, "exp_avg_sq", vectors: true, (name, length) => Slot(name, length));
        (floor, size) = options.Eps is [var least, var smallest] ? (least, smallest) : (Values.dtype is ScalarType.Float64 ? Math.BitIncrement(1.0) - 1 : MathF.BitIncrement(1) - 1, SmallestSize);
    }

    public override void Step(IReadOnlyList<GroupStep> groups)
    {
        foreach (var group in groups)
            foreach (var run in group.Runs)
                foreach (var tensor in run.Tensors) Update(tensor, group.Rate, run.Update);
    }

    private void Update(TrainedTensor tensor, double rate, long update)
    {
        using var scope = NewDisposeScope();
        var (p, g) = (tensor.Of(Values), tensor.Of(Gradients));
        var length = Math.Max(size, AdaFactorRule.Rms(p)) * Math.Min(rate, 1 / Math.Sqrt(update));
        if (options.WeightDecay != 0) p.mul_(1 - rate * options.WeightDecay);
        var u = square.DivideAbove(tensor, g, Math.Pow(update, options.Beta2Decay), floor);
        p.add_(u, -length / Math.Max(1, AdaFactorRule.Rms(u) / options.D));
    }
}
