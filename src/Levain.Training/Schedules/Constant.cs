namespace Levain.Training;

public static partial class RateSchedules
{
    /// <summary>The rate stays.</summary>
    public static RateSchedule Constant { get; } = new("constant", "Stays", new("https://github.com/huggingface/transformers/blob/v4.54.1/src/transformers/optimization.py"), static (_, _) => 1)
    {
        WarmsUp = false,
        Check = static (options, problems) => problems.Require(options.Warmup == 0, "warmup",
            $"is {options.Warmup} steps, but constant has no warm-up.", "Use constant_with_warmup, or leave warmup out."),
    };
}
