namespace Levain.Training;

public static partial class RateSchedules
{
    /// <summary>A ramp, then the rate stays.</summary>
    public static RateSchedule ConstantWithWarmup { get; } = new("constant_with_warmup", "Rises, then stays", new("https://github.com/huggingface/transformers/blob/v4.54.1/src/transformers/optimization.py"),
        static (step, options) => step < options.Warmup ? Ramp(step, options) : 1);
}
