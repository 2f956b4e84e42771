namespace Levain.Training;

public static partial class RateSchedules
{
    /// <summary>A ramp, a long stay, and a fall over the last <see cref="RateOptions.Decay"/> steps.</summary>
    public static RateSchedule WarmupStableDecay { get; } = new("warmup_stable_decay", "Rises, stays, and falls at the end", new("https://github.com/huggingface/transformers/blob/v4.54.1/src/transformers/optimization.py"),
        static (step, options) =>
        {
            var least = options.MinRatio ?? 0;
            if (step < options.Warmup) return Lift(Rise(Ramp(step, options), options.WarmupShape), least);
            var stable = options.Total - options.Warmup - options.Decay;
            if (step < options.Warmup + stable) return 1;
            var fallen = step - options.Warmup - stable;
            return fallen < options.Decay ? Lift(Fall((double)fallen / Math.Max(1, options.Decay), options), least) : least;
        });

    private static double Rise(double share, RateShape shape) => shape switch
    {
        RateShape.Linear => share,
        RateShape.Cosine => 0.5 * (1 - Math.Cos(Math.PI * share)),
        _ => 1 - Math.Sqrt(1 - share),
    };

    private static double Fall(double share, RateOptions options) => options.DecayShape switch
    {
        RateShape.Linear => 1 - share,
        RateShape.Cosine => Cosine(share, options.Cycles ?? HalfWave),
        _ => 1 - Math.Sqrt(share),
    };
}
