namespace Levain.Training;

public static partial class RateSchedules
{
    private const int UsualTimescale = 10_000;

    /// <summary>A ramp, then 1 over the root of the step.</summary>
    public static RateSchedule InverseSqrt { get; } = new("inverse_sqrt", "Falls with the root of the step", new("https://github.com/huggingface/transformers/blob/v4.54.1/src/transformers/optimization.py"),
        static (step, options) =>
        {
            if (step < options.Warmup) return Ramp(step, options);
            var timescale = options.Timescale ?? (options.Warmup > 0 ? options.Warmup : UsualTimescale);
            return 1 / Math.Sqrt((double)(step + timescale - options.Warmup) / timescale);
        });
}
