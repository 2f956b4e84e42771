namespace Levain.Training;

public static partial class RateSchedules
{
    /// <summary>A ramp, then half a cosine down to <see cref="RateOptions.MinRatio"/>.</summary>
    public static RateSchedule CosineWithMinLr { get; } = new("cosine_with_min_lr", "Falls along half a cosine to a lowest rate", new("https://github.com/huggingface/transformers/blob/v4.54.1/src/transformers/optimization.py"),
        static (step, options) => step < options.Warmup
            ? Ramp(step, options)
            : Lift(Cosine(Progress(step, options), options.Cycles ?? HalfWave), options.MinRatio ?? 0))
    {
        Check = static (options, problems) => problems.Require(options.MinRatio is not null, "min_ratio",
            "is not given with cosine_with_min_lr.", "Give the lowest rate as a share of the highest: min_ratio = 0.1."),
    };
}
