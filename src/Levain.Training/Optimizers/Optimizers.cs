using Levain.Core;
using static TorchSharp.torch;

namespace Levain.Training;

/// <summary>Ways of turning gradients into steps.</summary>
[Catalog]
public static partial class Optimizers
{
    /// <summary>All optimizers, in name order.</summary>
    public static partial IReadOnlyList<Optimizer> All { get; }

    /// <summary>The optimizer of that name, letter case aside as in kohya; null where there is none.</summary>
    public static Optimizer? Named(string name) => All.FirstOrDefault(optimizer => optimizer.Name.Equals(name, StringComparison.OrdinalIgnoreCase));
}

/// <summary>One way of turning gradients into steps.</summary>
/// <param name="Name">Its name in run files, as kohya's <c>--optimizer_type</c>.</param>
/// <param name="Summary">What it does, in one line.</param>
/// <param name="Source">The paper.</param>
/// <param name="Slots">Names of what it remembers for each element, as PyTorch's state dictionaries have them; all start at 0.</param>
/// <param name="Update">The rule.</param>
public sealed record Optimizer(string Name, string Summary, Uri Source, IReadOnlyList<string> Slots, UpdateRule Update);

/// <summary>Numbers of an optimizer that do not change during a run; each rule uses those it knows.</summary>
public sealed record OptimizerOptions
{
    /// <summary>Share of the old first moment, or momentum, that a step keeps; 0..1.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Share of the old second moment that a step keeps; 0..1.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>Added to the root of the second moment.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Decay of the weights, 0 or more.</summary>
    public double WeightDecay { get; init; } = 0.01;
}

/// <summary>One step over elements that share a learning rate. Works in place on flat fp32 tensors of equal length; gradients are not recorded.</summary>
/// <param name="options">The fixed numbers.</param>
/// <param name="parameter">Elements to move.</param>
/// <param name="gradient">Their gradients; may be written to.</param>
/// <param name="slots">What is remembered of them, in the order of <see cref="Optimizer.Slots"/>.</param>
/// <param name="rate">Learning rate of this step.</param>
/// <param name="step">Steps counted from 1.</param>
public delegate void UpdateRule(OptimizerOptions options, Tensor parameter, Tensor gradient, IReadOnlyList<Tensor> slots, double rate, long step);
