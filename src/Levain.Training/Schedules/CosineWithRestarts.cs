namespace Levain.Training;

public static partial class RateSchedules
{
    /// <summary>A ramp, then <see cref="RateOptions.Cycles"/> falls from the full rate to 0, one after another.</summary>
    public static RateSchedule CosineWithRestarts { get; } = new("cosine_with_restarts", "Falls along a cosine and starts again", new("https://github.com/huggingface/transformers/blob/v4.54.1/src/transformers/optimization.py"),
        static (step, options) =>
        {
            if (step < options.Warmup) return Ramp(step, options);
            var progress = Progress(step, options);
            return progress >= 1 ? 0 : Math.Max(0, Cosine((options.Cycles ?? 1) * progress % 1, HalfWave));
        });
}
