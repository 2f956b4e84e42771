namespace Levain.Training;

public static partial class RateSchedules
{
    private const double HalfWave = 0.5;

    /// <summary>A ramp, then half a cosine down to 0 at the end of the run.</summary>
    public static RateSchedule HalfCosine { get; } = new("cosine", "Falls along half a cosine to 0", new("https://github.com/huggingface/transformers/blob/v4.54.1/src/transformers/optimization.py"),
        static (step, options) => step < options.Warmup
            ? Ramp(step, options)
            : Math.Max(0, Cosine(Progress(step, options), options.Cycles ?? HalfWave)));
}
