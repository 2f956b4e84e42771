using Levain.Core;

namespace Levain.Training;

/// <summary>How a learning rate moves over a run.</summary>
[Catalog]
public static partial class RateSchedules
{
    /// <summary>All schedules, in name order.</summary>
    public static partial IReadOnlyList<RateSchedule> All { get; }

    /// <summary>The schedule of exactly that name; null where there is none.</summary>
    public static RateSchedule? Named(string name) => All.FirstOrDefault(schedule => schedule.Name == name);

    // The ramp that every schedule with a warm-up begins with: 0 at step 0, so the first step does nothing.
    private static double Ramp(int step, RateOptions options) => (double)step / Math.Max(1, options.Warmup);

    private static double Progress(int step, RateOptions options) => (double)(step - options.Warmup) / Math.Max(1, options.Total - options.Warmup);

    // Half a cosine from 1 to 0 for half a cycle, and back up for the next half.
    private static double Cosine(double progress, double cycles) => 0.5 * (1 + Math.Cos(Math.PI * cycles * 2 * progress));

    private static double Lift(double factor, double least) => Math.Max(0, factor * (1 - least) + least);
}

/// <summary>How a learning rate moves over a run: a pure function of the step.</summary>
/// <param name="Name">Its name in run files, as kohya's <c>--lr_scheduler</c>.</param>
/// <param name="Summary">What it does, in one line.</param>
/// <param name="Source">Where it comes from.</param>
/// <param name="Factor">What the rates are multiplied by at a step counted from 0.</param>
public sealed record RateSchedule(string Name, string Summary, Uri Source, Func<int, RateOptions, double> Factor)
{
    /// <summary>Whether it begins with a ramp from 0 over <see cref="RateOptions.Warmup"/> steps.</summary>
    public bool WarmsUp { get; init; } = true;

    /// <summary>Adds what is wrong with the options to the problems; throws nothing.</summary>
    public Action<RateOptions, Problems> Check { get; init; } = static (_, _) => { };
}

/// <summary>Numbers of a schedule; each uses those it knows.</summary>
public sealed record RateOptions
{
    /// <summary>Steps of the whole run.</summary>
    public required int Total { get; init; }

    /// <summary>Steps of the ramp at the beginning.</summary>
    public int Warmup { get; init; }

    /// <summary>Steps of the fall at the end, where a schedule has one of its own.</summary>
    public int Decay { get; init; }

    /// <summary>Cycles of a cosine: halves of a whole wave, except for restarts. Null: the schedule's own.</summary>
    public double? Cycles { get; init; }

    /// <summary>Power of a polynomial; 1 is a line.</summary>
    public double Power { get; init; } = 1;

    /// <summary>Rate at which a polynomial ends.</summary>
    public double End { get; init; } = 1e-7;

    /// <summary>Steps over which an inverse root falls by √2; null: the warm-up, or 10,000 without one.</summary>
    public int? Timescale { get; init; }

    /// <summary>Lowest factor, 0..1; null: 0, or required.</summary>
    public double? MinRatio { get; init; }

    /// <summary>The rate that the factor will be multiplied by; a polynomial's end is relative to it.</summary>
    public double Rate { get; init; } = 1;

    /// <summary>Factors written out, the earliest first: each holds below its step.</summary>
    public IReadOnlyList<(double Factor, int Until)> Pieces { get; init; } = [];

    /// <summary>The factor after the last piece.</summary>
    public double LastPiece { get; init; } = 1;

    /// <summary>Shape of the ramp where it can be chosen.</summary>
    public RateShape WarmupShape { get; init; } = RateShape.Linear;

    /// <summary>Shape of the fall where it can be chosen.</summary>
    public RateShape DecayShape { get; init; } = RateShape.Cosine;
}

/// <summary>Shape of a ramp or a fall.</summary>
public enum RateShape
{
    /// <summary>A straight line.</summary>
    Linear,

    /// <summary>Half a cosine: slow at both ends.</summary>
    Cosine,

    /// <summary>1 minus a root: steep at the end of a ramp and at the beginning of a fall.</summary>
    OneMinusRoot,
}
