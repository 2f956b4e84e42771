using Levain.Core;

namespace Levain.Training;

public static partial class TorchSchedules
{
    /// <summary>Falls by a factor every step.</summary>
    public static TorchSchedule ExponentialLr { get; } = new("ExponentialLR", "Falls by a factor every step", new ExponentialLrOptions());
}

/// <summary>Options of <see cref="TorchSchedules.ExponentialLr"/>.</summary>
public sealed record ExponentialLrOptions : TorchScheduleOptions
{
    /// <summary>The factor; required.</summary>
    public double? Gamma { get; init; }

    /// <inheritdoc/>
    public override TorchScheduleOptions Map(TomlMap map) => this with { Gamma = map.OptionalNumber("gamma", Gamma) };

    /// <inheritdoc/>
    public override void Check(Problems problems) => problems.Require(Gamma > 0, "gamma", Gamma is null ? "is not given with ExponentialLR." : $"is {Gamma}.", "Give the factor of each step: gamma = 0.999.");

    /// <inheritdoc/>
    public override double Rate(int step, double initial) => initial * Math.Pow(Gamma!.Value, step);
}
