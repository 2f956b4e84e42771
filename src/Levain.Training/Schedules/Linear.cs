namespace Levain.Training;

public static partial class RateSchedules
{
    /// <summary>A ramp, then a line down to 0 at the end of the run.</summary>
    public static RateSchedule Linear { get; } = new("linear", "Falls in a line to 0", new("https://github.com/huggingface/transformers/blob/v4.54.1/src/transformers/optimization.py"),
        static (step, options) => step < options.Warmup
            ? Ramp(step, options)
            : Math.Max(0, (double)(options.Total - step) / Math.Max(1, options.Total - options.Warmup)));
}
