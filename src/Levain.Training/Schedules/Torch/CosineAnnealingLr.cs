using Levain.Core;

namespace Levain.Training;

public static partial class TorchSchedules
{
    /// <summary>Falls and rises along a cosine.</summary>
    public static TorchSchedule CosineAnnealingLr { get; } = new("CosineAnnealingLR", "Falls along half a cosine, and rises again after it", new CosineAnnealingLrOptions());
}

/// <summary>Options of <see cref="TorchSchedules.CosineAnnealingLr"/>.</summary>
public sealed record CosineAnnealingLrOptions : TorchScheduleOptions
{
    /// <summary>Steps of the fall; required.</summary>
    public int? TMax { get; init; }

    /// <summary>Lowest rate. Default 0.</summary>
    public double EtaMin { get; init; }

    /// <inheritdoc/>
    public override TorchScheduleOptions Map(TomlMap map) => this with { TMax = map.OptionalWhole("T_max", TMax), EtaMin = map.Number("eta_min", EtaMin) };

    /// <inheritdoc/>
    public override void Check(Problems problems) =>
        problems.Require(TMax >= 1, "T_max", TMax is null ? "is not given with CosineAnnealingLR." : $"is {TMax}.", "Give the steps of the fall, those of the run as a rule.");

    /// <inheritdoc/>
    public override double Rate(int step, double initial) => EtaMin + (initial - EtaMin) * (1 + Math.Cos(Math.PI * step / TMax!.Value)) / 2;
}
