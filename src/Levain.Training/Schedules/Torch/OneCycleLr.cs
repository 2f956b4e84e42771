using Levain.Core;

namespace Levain.Training;

public static partial class TorchSchedules
{
    /// <summary>Rises to a high rate and falls far below the first one.</summary>
    public static TorchSchedule OneCycleLr { get; } = new("OneCycleLR", "Rises to a high rate and falls far below the first one; momentum goes the other way", new OneCycleLrOptions());
}

/// <summary>Shape of a rise and a fall in torch.</summary>
public enum AnnealStrategy
{
    /// <summary>Half a cosine.</summary>
    Cos,

    /// <summary>A line.</summary>
    Linear,
}

/// <summary>Options of <see cref="TorchSchedules.OneCycleLr"/>.</summary>
public sealed record OneCycleLrOptions : TorchScheduleOptions
{
    /// <summary>Highest rate; required. The optimizer's own is not looked at.</summary>
    public double? MaxLr { get; init; }

    /// <summary>Steps of the cycle, at least those of the run; required, unless they follow from <see cref="Epochs"/>.</summary>
    public int? TotalSteps { get; init; }

    /// <summary>Epochs of the cycle, in place of its steps; null: not said.</summary>
    public int? Epochs { get; init; }

    /// <summary>Steps of one of <see cref="Epochs"/>; null: not said.</summary>
    public int? StepsPerEpoch { get; init; }

    /// <summary>Share of the steps that rise, 0 to 1. Default 0.3.</summary>
    public double PctStart { get; init; } = 0.3;

    /// <summary>Shape of rise and fall. Default cos.</summary>
    public AnnealStrategy AnnealStrategy { get; init; } = AnnealStrategy.Cos;

    /// <summary>Whether momentum, or the first beta, moves against the rate. Default on.</summary>
    public bool CycleMomentum { get; init; } = true;

    /// <summary>Momentum at the highest rate. Default 0.85.</summary>
    public double BaseMomentum { get; init; } = 0.85;

    /// <summary>Momentum at the lowest rates. Default 0.95.</summary>
    public double MaxMomentum { get; init; } = 0.95;

    /// <summary>The first rate is the highest divided by this. Default 25.</summary>
    public double DivFactor { get; init; } = 25;

    /// <summary>The last rate is the first divided by this. Default 1e4.</summary>
    public double FinalDivFactor { get; init; } = 1e4;

    /// <summary>Falls to the first rate as long as it rose, and then to the last. Default off.</summary>
    public bool ThreePhase { get; init; }

    /// <inheritdoc/>
    public override int? Steps => TotalSteps ?? (Epochs is > 0 && StepsPerEpoch is > 0 ? Epochs * StepsPerEpoch : null);

    /// <inheritdoc/>
    public override TorchScheduleOptions Map(TomlMap map) => this with
    {
        MaxLr = map.OptionalNumber("max_lr", MaxLr),
        TotalSteps = map.OptionalWhole("total_steps", TotalSteps),
        Epochs = map.OptionalWhole("epochs", Epochs),
        StepsPerEpoch = map.OptionalWhole("steps_per_epoch", StepsPerEpoch),
        PctStart = map.Number("pct_start", PctStart),
        AnnealStrategy = map.Choice("anneal_strategy", AnnealStrategy),
        CycleMomentum = map.Flag("cycle_momentum", CycleMomentum),
        BaseMomentum = map.Number("base_momentum", BaseMomentum),
        MaxMomentum = map.Number("max_momentum", MaxMomentum),
        DivFactor = map.Number("div_factor", DivFactor),
        FinalDivFactor = map.Number("final_div_factor", FinalDivFactor),
        ThreePhase = map.Flag("three_phase", ThreePhase),
    };

    /// <inheritdoc/>
    public override void Check(Problems problems)
    {
        problems.Require(MaxLr > 0, "max_lr", MaxLr is null ? "is not given with OneCycleLR." : $"is {MaxLr}.", "Give the highest rate: max_lr = 1e-3.");
        problems.Require(Steps >= 1, "total_steps", TotalSteps is null ? "is not given with OneCycleLR." : $"is {TotalSteps}.", "Give the steps of the run, or epochs and steps_per_epoch.");
        problems.Require(PctStart is >= 0 and <= 1, "pct_start", $"is {PctStart}.", "Use 0 to 1.");
        problems.Require(DivFactor > 0, "div_factor", $"is {DivFactor}.", "Use a positive number; 25 is usual.");
        problems.Require(FinalDivFactor > 0, "final_div_factor", $"is {FinalDivFactor}.", "Use a positive number; 1e4 is usual.");
    }

    /// <inheritdoc/>
    public override double Rate(int step, double initial)
    {
        var first = MaxLr!.Value / DivFactor;
        return At(step, first, MaxLr.Value, first, first / FinalDivFactor);
    }

    /// <inheritdoc/>
    public override double? Momentum(int step) => CycleMomentum ? At(step, MaxMomentum, BaseMomentum, MaxMomentum, MaxMomentum) : null;

    // Smith and Topin 2017, https://arxiv.org/abs/1708.07120, in two phases or three, as torch.optim.lr_scheduler counts them.
    private double At(int step, double start, double peak, double back, double end)
    {
        var steps = Steps!.Value;
        var rise = PctStart * steps - 1;
        (double Until, double From, double To)[] phases = ThreePhase
            ? [(rise, start, peak), (2 * PctStart * steps - 2, peak, back), (steps - 1, back, end)]
            : [(rise, start, peak), (steps - 1, peak, end)];
        var begun = 0.0;
        for (var i = 0; ; i++)
        {
            var (until, from, to) = phases[i];
            if (step > until && i < phases.Length - 1)
            {
                begun = until;
                continue;
            }
            var share = (step - begun) / (until - begun);
            return AnnealStrategy is AnnealStrategy.Linear ? (to - from) * share + from : to + (from - to) / 2 * (1 + Math.Cos(Math.PI * share));
        }
    }
}
