namespace Levain.Training;

public static partial class RateSchedules
{
    /// <summary>A ramp, then a power of the remaining share down to the rate <see cref="RateOptions.End"/>.</summary>
    public static RateSchedule Polynomial { get; } = new("polynomial", "Falls along a power of what remains", new("https://github.com/huggingface/transformers/blob/v4.54.1/src/transformers/optimization.py"),
        static (step, options) =>
        {
            if (step < options.Warmup) return Ramp(step, options);
            if (step > options.Total) return options.End / options.Rate;
            var remaining = 1 - (double)(step - options.Warmup) / (options.Total - options.Warmup);
            return ((options.Rate - options.End) * Math.Pow(remaining, options.Power) + options.End) / options.Rate;
        })
    {
        Check = static (options, problems) => problems.Require(options.Rate > options.End, "learning_rate",
            $"is {options.Rate}, not above the {options.End} at which polynomial ends.", "Use a larger learning rate, or another schedule."),
    };
}
