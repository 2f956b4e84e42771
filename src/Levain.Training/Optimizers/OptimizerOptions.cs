using Levain.Core;
using static TorchSharp.torch;

namespace Levain.Training;

/// <summary>The numbers of an optimizer that do not change during a run. Each optimizer has a record of its own; their keys are kohya's <c>--optimizer_args</c>.</summary>
public abstract record OptimizerOptions
{
    /// <summary>The record's keys, for reading, writing and documentation.</summary>
    public abstract OptimizerOptions Map(TomlMap map);

    /// <summary>Whether the rule makes its learning rates itself: those given, and the schedule, are then not looked at.</summary>
    public virtual bool MakesRates => false;

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    public abstract void Check(Problems problems);

    /// <summary>The rule at work on these parameters.</summary>
    public abstract UpdateRule Create(TrainedParameters parameters);

    /// <summary>Whether it has a momentum or betas, which schedules may move.</summary>
    public virtual bool HasMomentum => true;

    /// <summary>Climbs the loss instead of descending it. Default off.</summary>
    public bool Maximize { get; init; }

    /// <summary>Reads arguments of a class in <c>torch.optim</c> that say how torch computes and not what.</summary>
    /// <param name="map">The keys.</param>
    /// <param name="fused">Whether it has a fused form.</param>
    /// <param name="capturable">Whether it can be captured in a graph.</param>
    protected static void TorchOnly(TomlMap map, bool fused = false, bool capturable = true) =>
        Idle(map, ["foreach", "differentiable", .. fused ? ["fused"] : Array.Empty<string>(), .. capturable ? ["capturable"] : Array.Empty<string>()]);

    /// <summary>Two shares of 0 to below 1.</summary>
    protected static void CheckBetas(Problems problems, IReadOnlyList<double> betas, int count = 2) =>
        problems.Require(betas.Count == count && betas.All(beta => beta is >= 0 and < 1), "betas", $"is [{string.Join(", ", betas)}].",
            $"Give {(count == 2 ? "two" : "three")} numbers of 0 to below 1: {(count == 2 ? "[0.9, 0.999]" : "[0.98, 0.92, 0.99]")}.");

    /// <summary>A decay of 0 or more.</summary>
    protected static void CheckDecay(Problems problems, double decay) => problems.Require(decay >= 0, "weight_decay", $"is {decay}.", "Use 0 or more; 0.01 is usual.");

    /// <summary>A small number of 0 or more.</summary>
    protected static void CheckEpsilon(Problems problems, double epsilon, bool aboveZero = false) =>
        problems.Require(aboveZero ? epsilon > 0 : epsilon >= 0, "eps", $"is {epsilon}.", $"Use a small number {(aboveZero ? "above 0" : "of 0 or more")}; 1e-8 is usual.");

    /// <summary>A setting that says how torch computes and not what: read, and not looked at.</summary>
    protected static void Idle(TomlMap map, params IEnumerable<string> keys)
    {
        foreach (var key in keys) map.Unneeded(key);
    }
}

/// <summary>What an optimizer works on: tensors one after another in two flat buffers, in groups that share a learning rate.</summary>
/// <param name="Values">The parameters, one dimension.</param>
/// <param name="Gradients">Their gradients, element for element.</param>
/// <param name="Groups">The groups, in order.</param>
/// <param name="LearningRate">The rate of whatever has none of its own.</param>
public sealed record TrainedParameters(Tensor Values, Tensor Gradients, IReadOnlyList<TrainedGroup> Groups, double LearningRate)
{
    /// <summary>Whether a rule goes through memory itself, in one pass; else tensor operations do the same. By default where memory is the processor's.</summary>
    public bool Fused { get; init; } = Values.device_type is TorchSharp.DeviceType.CPU && Values.dtype is ScalarType.Float32 or ScalarType.Float64;

    /// <summary>Whether a schedule moves the momentum, so that a rule needs one whatever its options say.</summary>
    public bool MovesMomentum { get; init; }

    /// <summary>Elements from the first up to the end of the last tensor.</summary>
    public long Length => Groups.SelectMany(group => group.Tensors).Select(tensor => tensor.Start + tensor.Length).DefaultIfEmpty(0).Max();
}

/// <summary>Tensors that share a learning rate.</summary>
/// <param name="Rate">The learning rate, before any schedule.</param>
/// <param name="Tensors">The tensors, one behind the other in memory.</param>
public sealed record TrainedGroup(double Rate, IReadOnlyList<TrainedTensor> Tensors);

/// <summary>One tensor of a flat buffer.</summary>
/// <param name="Start">Its first element.</param>
/// <param name="Shape">Its shape.</param>
public sealed record TrainedTensor(long Start, IReadOnlyList<long> Shape)
{
    /// <summary>Number of elements.</summary>
    public long Length { get; } = Shape.Aggregate(1L, (product, side) => product * side);

    /// <summary>This tensor's part of a flat buffer, in its shape.</summary>
    public Tensor Of(Tensor flat) => flat.narrow(0, Start, Length).view([.. Shape]);
}
