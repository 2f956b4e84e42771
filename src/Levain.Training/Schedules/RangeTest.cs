namespace Levain.Training;

public static partial class RateSchedules
{
    private const double UsualRangeStart = 1e-4;

    /// <summary>From a small share of the rate up to all of it, each step by the same factor: a run that finds the learning rate instead of a network.</summary>
    public static RateSchedule RangeTest { get; } = new("range_test", "Rises by the same factor each step, to find the learning rate", new("https://arxiv.org/abs/1506.01186"),
        static (step, options) => Math.Pow(options.MinRatio ?? UsualRangeStart, Math.Max(0, 1 - (double)step / Math.Max(1, options.Total - 1))))
    {
        WarmsUp = false,
    };
}
