using Levain.Core;
using Levain.Training.Settings;

namespace Levain.Training;

/// <summary>The learning rates of a run, step by step.</summary>
public sealed class RateCurve
{
    private readonly RateSchedule schedule;
    private readonly RateOptions options;
    private readonly TorchScheduleOptions? torch;
    private readonly int last;

    /// <param name="settings">The schedule; checked already.</param>
    /// <param name="steps">Steps of the whole run.</param>
    /// <param name="learningRate">The rate of whatever has none of its own; a polynomial's end is relative to it.</param>
    /// <param name="last">The step at which the curve stands still, with all that it moves.</param>
    public RateCurve(ScheduleSettings settings, int steps, double learningRate, int last = int.MaxValue)
    {
        this.last = last;
        torch = settings.TorchOptions;
        schedule = RateSchedules.Named(TomlMap.Spell(settings.Type.ToString()))!;
        var rules = PiecewiseRules.Parse(settings.StepRules);
        // kohya hands these two half of its number of cycles, so that they run whole halves; a plain cosine has no number at all.
        double? cycles = settings.Type switch
        {
            ScheduleType.Cosine => settings.Waves,
            ScheduleType.CosineWithRestarts => settings.Cycles,
            ScheduleType.CosineWithMinLr or ScheduleType.WarmupStableDecay => settings.Cycles / 2.0,
            _ => null,
        };
        options = new()
        {
            Total = steps,
            Warmup = settings.Warmup.Resolve(steps),
            Decay = settings.Decay.Resolve(steps),
            Cycles = cycles,
            Power = settings.Power,
            End = settings.EndRate,
            Timescale = settings.Timescale,
            MinRatio = settings.MinRatio,
            Rate = learningRate,
            Pieces = rules?.Pieces ?? [],
            LastPiece = rules?.Last ?? 1,
            WarmupShape = settings.WarmupShape,
            DecayShape = settings.DecayShape,
        };
    }

    /// <summary>The curve of a run's plan.</summary>
    public static RateCurve Of(Planning.RunPlan plan)
    {
        var (settings, schedule) = (plan.Settings, plan.Settings.Schedule);
        // accelerate steps a schedule that has total_steps only while its own count, one for every batch, has not passed them.
        var last = settings.Compat.OneCycleFreezes && schedule.TorchOptions?.Steps is { } made ? plan.Length.StepsWithin(made, settings.Training.GradientAccumulation) : int.MaxValue;
        return new(schedule, plan.Length.Steps, settings.Optimizer.LearningRate, last);
    }

    /// <summary>The rate of a step counted from 0, for a group whose own rate is <paramref name="rate"/>.</summary>
    public double Rate(int step, double rate) => torch?.Rate(Math.Min(step, last), rate) ?? rate * schedule.Factor(step, options);

    /// <summary>The optimizer's momentum at a step, where the schedule moves it too; else null.</summary>
    public double? Momentum(int step) => torch?.Momentum(Math.Min(step, last));
}
