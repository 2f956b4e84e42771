using Levain.Core;

namespace Levain.Training;

public static partial class TorchSchedules
{
    /// <summary>Goes in a line from one factor to another, then stays.</summary>
    public static TorchSchedule LinearLr { get; } = new("LinearLR", "Goes in a line from one factor to another, then stays", new LinearLrOptions());
}

/// <summary>Options of <see cref="TorchSchedules.LinearLr"/>.</summary>
public sealed record LinearLrOptions : TorchScheduleOptions
{
    /// <summary>Factor to begin with, above 0 to 1. Default 1/3.</summary>
    public double StartFactor { get; init; } = 1.0 / 3;

    /// <summary>Factor to end with, 0 to 1. Default 1.</summary>
    public double EndFactor { get; init; } = 1;

    /// <summary>Steps from one to the other. Default 5.</summary>
    public int TotalIters { get; init; } = 5;

    /// <inheritdoc/>
    public override TorchScheduleOptions Map(TomlMap map) =>
        this with { StartFactor = map.Number("start_factor", StartFactor), EndFactor = map.Number("end_factor", EndFactor), TotalIters = map.Whole("total_iters", TotalIters) };

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        problems.Require(StartFactor is > 0 and <= 1, "start_factor", $"is {StartFactor}.", "Use a number above 0, up to 1.");
        problems.Require(EndFactor is >= 0 and <= 1, "end_factor", $"is {EndFactor}.", "Use 0 to 1.");
        problems.Require(TotalIters >= 1, "total_iters", $"is {TotalIters}.", "Use 1 or more.");
    }

    /// <inheritdoc/>
    public override double Rate(int step, double initial) => initial * (StartFactor + (EndFactor - StartFactor) * Math.Min(step, TotalIters) / TotalIters);
}
