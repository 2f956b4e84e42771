using Levain.Core;

namespace Levain.Training;

public static partial class TorchSchedules
{
    /// <summary>Up and down between two rates.</summary>
    public static TorchSchedule CyclicLr { get; } = new("CyclicLR", "Up and down between two rates; momentum goes the other way", new CyclicLrOptions());
}

/// <summary>How the height of cycles changes.</summary>
public enum CyclicMode
{
    /// <summary>Not at all.</summary>
    Triangular,

    /// <summary>It halves with each.</summary>
    Triangular2,

    /// <summary>It falls by a factor every step.</summary>
    ExpRange,
}

/// <summary>Options of <see cref="TorchSchedules.CyclicLr"/>.</summary>
public sealed record CyclicLrOptions : TorchScheduleOptions
{
    /// <summary>Lower rate; required. The optimizer's own is not looked at.</summary>
    public double? BaseLr { get; init; }

    /// <summary>Upper rate; required.</summary>
    public double? MaxLr { get; init; }

    /// <summary>Steps up. Default 2000.</summary>
    public int StepSizeUp { get; init; } = 2000;

    /// <summary>Steps down; null: as many as up.</summary>
    public int? StepSizeDown { get; init; }

    /// <summary>How the height of cycles changes. Default triangular.</summary>
    public CyclicMode Mode { get; init; } = CyclicMode.Triangular;

    /// <summary>Factor of <see cref="CyclicMode.ExpRange"/>. Default 1.</summary>
    public double Gamma { get; init; } = 1;

    /// <summary>Whether momentum, or the first beta, moves against the rate. Default on.</summary>
    public bool CycleMomentum { get; init; } = true;

    /// <summary>Momentum at the upper rate. Default 0.8.</summary>
    public double BaseMomentum { get; init; } = 0.8;

    /// <summary>Momentum at the lower rate. Default 0.9.</summary>
    public double MaxMomentum { get; init; } = 0.9;

    /// <inheritdoc/>
    public override TorchScheduleOptions Map(TomlMap map) => this with
    {
        BaseLr = map.OptionalNumber("base_lr", BaseLr),
        MaxLr = map.OptionalNumber("max_lr", MaxLr),
        StepSizeUp = map.Whole("step_size_up", StepSizeUp),
        StepSizeDown = map.OptionalWhole("step_size_down", StepSizeDown),
        Mode = map.Choice("mode", Mode),
        Gamma = map.Number("gamma", Gamma),
        CycleMomentum = map.Flag("cycle_momentum", CycleMomentum),
        BaseMomentum = map.Number("base_momentum", BaseMomentum),
        MaxMomentum = map.Number("max_momentum", MaxMomentum),
    };

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        problems.Require(BaseLr >= 0, "base_lr", BaseLr is null ? "is not given with CyclicLR." : $"is {BaseLr}.", "Give the lower rate: base_lr = 1e-5.");
        problems.Require(MaxLr > 0, "max_lr", MaxLr is null ? "is not given with CyclicLR." : $"is {MaxLr}.", "Give the upper rate: max_lr = 1e-4.");
        problems.Require(StepSizeUp >= 1, "step_size_up", $"is {StepSizeUp}.", "Use 1 or more.");
        problems.Require(StepSizeDown is null or >= 1, "step_size_down", $"is {StepSizeDown}.", "Use 1 or more, or leave it out.");
    }

    /// <inheritdoc/>
    public override double Rate(int step, double initial) => BaseLr!.Value + (MaxLr!.Value - BaseLr.Value) * Height(step);

    /// <inheritdoc/>
    public override double? Momentum(int step) => CycleMomentum ? MaxMomentum - (MaxMomentum - BaseMomentum) * Height(step) : null;

    // Smith 2015, https://arxiv.org/abs/1506.01186: 0 at the lower rate, 1 at the upper one.
    private double Height(int step)
    {
        double length = StepSizeUp + (StepSizeDown ?? StepSizeUp), rise = StepSizeUp / length;
        var cycle = Math.Floor(1 + step / length);
        var x = 1 + step / length - cycle;
        return (x <= rise ? x / rise : (x - 1) / (rise - 1)) * Mode switch
        {
            CyclicMode.Triangular => 1,
            CyclicMode.Triangular2 => 1 / Math.Pow(2, cycle - 1),
            _ => Math.Pow(Gamma, step),
        };
    }
}
