using Levain.Core;

namespace Levain.Training;

public static partial class TorchSchedules
{
    /// <summary>Falls by a factor every so many steps.</summary>
    public static TorchSchedule StepLr { get; } = new("StepLR", "Falls by a factor every so many steps", new StepLrOptions());
}

/// <summary>Options of <see cref="TorchSchedules.StepLr"/>.</summary>
public sealed record StepLrOptions : TorchScheduleOptions
{
    /// <summary>Steps between two falls; required.</summary>
    public int? StepSize { get; init; }

    /// <summary>The factor. Default 0.1.</summary>
    public double Gamma { get; init; } = 0.1;

    /// <inheritdoc/>
    public override TorchScheduleOptions Map(TomlMap map) => this with { StepSize = map.OptionalWhole("step_size", StepSize), Gamma = map.Number("gamma", Gamma) };

    /// <inheritdoc/>
    public override void Check(Problems problems) =>
        problems.Require(StepSize >= 1, "step_size", StepSize is null ? "is not given with StepLR." : $"is {StepSize}.", "Give the steps between two falls: step_size = 100.");

    /// <inheritdoc/>
    public override double Rate(int step, double initial) => initial * Math.Pow(Gamma, step / StepSize!.Value);
}
