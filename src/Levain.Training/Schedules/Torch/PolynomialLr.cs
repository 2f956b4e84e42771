using Levain.Core;

namespace Levain.Training;

public static partial class TorchSchedules
{
    /// <summary>Falls along a power to 0.</summary>
    public static TorchSchedule PolynomialLr { get; } = new("PolynomialLR", "Falls along a power to 0", new PolynomialLrOptions());
}

/// <summary>Options of <see cref="TorchSchedules.PolynomialLr"/>.</summary>
public sealed record PolynomialLrOptions : TorchScheduleOptions
{
    /// <summary>Steps to 0. Default 5.</summary>
    public int TotalIters { get; init; } = 5;

    /// <summary>The power; 1 is a line. Default 1.</summary>
    public double Power { get; init; } = 1;

    /// <inheritdoc/>
    public override TorchScheduleOptions Map(TomlMap map) => this with { TotalIters = map.Whole("total_iters", TotalIters), Power = map.Number("power", Power) };

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        problems.Require(TotalIters >= 1, "total_iters", $"is {TotalIters}.", "Use 1 or more.");
        problems.Require(Power > 0, "power", $"is {Power}.", "Use a positive number; 1 is a line.");
    }

    /// <inheritdoc/>
    public override double Rate(int step, double initial) => initial * Math.Pow(1 - (double)Math.Min(step, TotalIters) / TotalIters, Power);
}
