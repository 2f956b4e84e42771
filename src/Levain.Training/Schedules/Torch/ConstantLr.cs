using Levain.Core;

namespace Levain.Training;

public static partial class TorchSchedules
{
    /// <summary>Lower at first, then the whole rate.</summary>
    public static TorchSchedule ConstantLr { get; } = new("ConstantLR", "Lower for some steps, then the whole rate", new ConstantLrOptions());
}

/// <summary>Options of <see cref="TorchSchedules.ConstantLr"/>.</summary>
public sealed record ConstantLrOptions : TorchScheduleOptions
{
    /// <summary>Factor at first, 0 to 1. Default 1/3.</summary>
    public double Factor { get; init; } = 1.0 / 3;

    /// <summary>Steps for which it holds. Default 5.</summary>
    public int TotalIters { get; init; } = 5;

    /// <inheritdoc/>
    public override TorchScheduleOptions Map(TomlMap map) => this with { Factor = map.Number("factor", Factor), TotalIters = map.Whole("total_iters", TotalIters) };

    /// <inheritdoc/>
    public override void Check(Problems problems) => problems.Require(Factor is >= 0 and <= 1, "factor", $"is {Factor}.", "Use 0 to 1.");

    /// <inheritdoc/>
    public override double Rate(int step, double initial) => step < TotalIters ? initial * Factor : initial;
}
