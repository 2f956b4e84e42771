using Levain.Core;

namespace Levain.Training;

public static partial class TorchSchedules
{
    /// <summary>Falls along half a cosine and starts again, each time longer.</summary>
    public static TorchSchedule CosineAnnealingWarmRestarts { get; } = new("CosineAnnealingWarmRestarts", "Falls along half a cosine and starts again", new WarmRestartsOptions());
}

/// <summary>Options of <see cref="TorchSchedules.CosineAnnealingWarmRestarts"/>.</summary>
public sealed record WarmRestartsOptions : TorchScheduleOptions
{
    /// <summary>Steps of the first fall; required.</summary>
    public int? T0 { get; init; }

    /// <summary>How many times as long the next fall is. Default 1.</summary>
    public int TMult { get; init; } = 1;

    /// <summary>Lowest rate. Default 0.</summary>
    public double EtaMin { get; init; }

    /// <inheritdoc/>
    public override TorchScheduleOptions Map(TomlMap map) => this with { T0 = map.OptionalWhole("T_0", T0), TMult = map.Whole("T_mult", TMult), EtaMin = map.Number("eta_min", EtaMin) };

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        problems.Require(T0 >= 1, "T_0", T0 is null ? "is not given with CosineAnnealingWarmRestarts." : $"is {T0}.", "Give the steps of the first fall: T_0 = 200.");
        problems.Require(TMult >= 1, "T_mult", $"is {TMult}.", "Use a whole number of 1 or more.");
    }

    /// <inheritdoc/>
    public override double Rate(int step, double initial)
    {
        long length = T0!.Value;
        for (; step >= length; length *= TMult) step -= (int)length;
        return EtaMin + (initial - EtaMin) * (1 + Math.Cos(Math.PI * step / length)) / 2;
    }
}
