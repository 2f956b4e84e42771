using Levain.Training.Elements;
using static TorchSharp.torch;

namespace Levain.Training;

/// <summary>What is to be done with a group in one step.</summary>
/// <param name="Group">Index of the group.</param>
/// <param name="Rate">Learning rate of this step.</param>
/// <param name="Runs">The tensors that have a gradient, neighbours together.</param>
public sealed record GroupStep(int Group, double Rate, IReadOnlyList<TensorRun> Runs);

/// <summary>Neighbouring tensors of a group that have been updated equally often.</summary>
/// <param name="Tensors">The tensors.</param>
/// <param name="Update">Which update of theirs this is, from 1.</param>
public sealed record TensorRun(IReadOnlyList<TrainedTensor> Tensors, long Update)
{
    /// <summary>First element.</summary>
    public long Start => Tensors[0].Start;

    /// <summary>Number of elements.</summary>
    public long Length => Tensors[^1].Start + Tensors[^1].Length - Start;

    /// <summary>Its elements.</summary>
    public (long Start, long Length) Range => (Start, Length);
}

/// <summary>An optimizer at work on a network: its memory, and what a step does. Gradients are not recorded while it works, and may be written to.</summary>
public abstract class UpdateRule : IDisposable
{
    private readonly OrderedDictionary<string, Tensor> slots = [];
    private readonly OrderedDictionary<string, Number> numbers = [];

    /// <summary>A rule without memory so far.</summary>
    protected UpdateRule(TrainedParameters parameters) => Parameters = parameters;

    /// <summary>What it works on.</summary>
    protected TrainedParameters Parameters { get; }

    /// <summary>The parameters' elements.</summary>
    protected Tensor Values => Parameters.Values;

    /// <summary>The gradients' elements.</summary>
    protected Tensor Gradients => Parameters.Gradients;

    /// <summary>Everything it remembers, by name: what a snapshot holds. The caller's scope owns the tensors of single numbers, the rule all others.</summary>
    public IReadOnlyDictionary<string, Tensor> Memory =>
        slots.Concat(numbers.Select(number => KeyValuePair.Create(number.Key, tensor(number.Value.Value, ScalarType.Float64)))).ToDictionary();

    /// <summary>Bytes of memory beside parameters and gradients.</summary>
    public long MemoryBytes => slots.Values.Sum(slot => slot.numel() * slot.element_size());

    /// <summary>The step length found so far, by which rates are multiplied; null for a rule that finds none.</summary>
    public virtual double? Distance => null;

    /// <summary>The rates actually used in the last step, where the rule makes them itself; null before, and for all other rules.</summary>
    public virtual IReadOnlyList<double>? OwnRates => null;

    /// <summary>Share of the old momentum that is kept, where a schedule moves it (torch's one-cycle); null: the option's.</summary>
    public double? Momentum { get; set; }

    /// <summary>One step over all groups.</summary>
    /// <exception cref="RunException">Groups have different rates and the rule knows only one.</exception>
    public abstract void Step(IReadOnlyList<GroupStep> groups);

    /// <summary>The parameters to be used and saved, where they are not those being trained: an average over the run. Null: they are the same.</summary>
    /// <returns>New values for the whole buffer; the caller's scope owns them.</returns>
    public virtual Tensor? Averaged() => null;

    /// <summary>Goes on from what <see cref="Memory"/> gave.</summary>
    /// <exception cref="RunException">It is the memory of another optimizer or network.</exception>
    public void Restore(IReadOnlyDictionary<string, Tensor> saved)
    {
        using var frozen = no_grad();
        foreach (var (name, slot) in slots)
        {
            if (!saved.TryGetValue(name, out var old) || old.numel() != slot.numel() || old.dtype != slot.dtype)
                throw new RunException($"the snapshot holds no '{name}' of this network's size: it is of another run. Start anew without --resume.");
            slot.copy_(old);
        }
        foreach (var (name, number) in numbers)
            number.Value = saved.TryGetValue(name, out var old) && old.numel() == 1 ? old.to(ScalarType.Float64).item<double>()
                : throw new RunException($"the snapshot holds no '{name}': it is of another optimizer. Start anew without --resume.");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var slot in slots.Values) slot.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Memory of zeros that snapshots carry; as long as the trained parameters and of their type, unless told otherwise.</summary>
    protected Tensor Slot(string name, long? length = null, ScalarType? dtype = null) =>
        Keep(name, zeros(length ?? Parameters.Length, dtype: dtype ?? Values.dtype, device: Values.device));

    /// <summary>Memory that starts with <paramref name="values"/>, which the rule takes over.</summary>
    protected Tensor Keep(string name, Tensor values)
    {
        slots.Add(name, values.DetachFromDisposeScope());
        return values;
    }

    /// <summary>A single number that snapshots carry.</summary>
    protected Number Remember(string name, double start = 0)
    {
        var number = new Number { Value = start };
        numbers.Add(name, number);
        return number;
    }

    /// <summary>Runs a rule for single elements over ranges of the parameters.</summary>
    /// <param name="rule">The rule with this step's numbers.</param>
    /// <param name="slots">Its slots, laid out as the parameters are.</param>
    /// <param name="ranges">Elements to treat.</param>
    private protected Sums Run<R>(R rule, Tensor[] slots, IEnumerable<(long Start, long Length)> ranges) where R : struct, IElementRule =>
        ElementLoop.Run(rule, Values, Gradients, slots, ranges, Parameters.Fused);

    /// <summary>The one rate that groups share; those of rate 0 are passed over.</summary>
    protected static double SharedRate(IReadOnlyList<GroupStep> groups)
    {
        var rate = groups.Max(group => group.Rate);
        if (groups.Any(group => group.Rate != rate && group.Rate != 0))
            throw new RunException("the optimizer finds one step length for all parameters, so learning rates may not differ from group to group (0 aside). Give all parts the same rate.");
        return rate;
    }

    /// <summary>A number that changes from step to step.</summary>
    protected sealed class Number
    {
        /// <summary>The number.</summary>
        public double Value { get; set; }
    }
}
