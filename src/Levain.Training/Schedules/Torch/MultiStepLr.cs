using Levain.Core;

namespace Levain.Training;

public static partial class TorchSchedules
{
    /// <summary>Falls by a factor at given steps.</summary>
    public static TorchSchedule MultiStepLr { get; } = new("MultiStepLR", "Falls by a factor at given steps", new MultiStepLrOptions());
}

/// <summary>Options of <see cref="TorchSchedules.MultiStepLr"/>.</summary>
public sealed record MultiStepLrOptions : TorchScheduleOptions
{
    /// <summary>The steps; required.</summary>
    public IReadOnlyList<int>? Milestones { get; init; }

    /// <summary>The factor. Default 0.1.</summary>
    public double Gamma { get; init; } = 0.1;

    /// <inheritdoc/>
    public override TorchScheduleOptions Map(TomlMap map) => this with { Milestones = map.Wholes("milestones", Milestones), Gamma = map.Number("gamma", Gamma) };

    /// <inheritdoc/>
    public override void Check(Problems problems) => problems.Require(Milestones is not null, "milestones", "is not given with MultiStepLR.", "Give the steps: milestones = [400, 800].");

    /// <inheritdoc/>
    public override double Rate(int step, double initial) => initial * Math.Pow(Gamma, Milestones!.Count(milestone => milestone <= step));
}
