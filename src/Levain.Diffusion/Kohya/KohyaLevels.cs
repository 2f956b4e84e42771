namespace Levain.Diffusion;

/// <summary>Noise levels and timesteps as diffusers spreads them evenly, the levels linear between the model's.</summary>
internal sealed class KohyaLevels
{
    // Samplers that divide by √ᾱ keep a terminal signal of zero a hair above it.
    private const float LeastAlpha = 1f / (1 << 24);

    private readonly double[] table;

    /// <param name="schedule">The trainer's schedule.</param>
    public KohyaLevels(NoiseSchedule schedule) =>
        table = [.. schedule.AlphasCumprod.Select(alpha => Math.Max(alpha, LeastAlpha)).Select(alpha => (double)MathF.Sqrt((1 - alpha) / alpha))];

    /// <summary>n timesteps from the last to the first, fractional, each with its level; behind them the level 0.</summary>
    public (double[] Times, double[] Sigmas) Fractional(int n)
    {
        double[] times = [.. Enumerable.Range(0, n).Select(i => (double)(float)(n == 1 ? 0 : (table.Length - 1) * (1 - i / (n - 1.0))))];
        return (times, [.. times.Select(SigmaOf), 0]);
    }

    /// <summary>n whole timesteps from the last down, the first left out, each with its level; behind them the level 0.</summary>
    public (double[] Times, double[] Sigmas) Whole(int n)
    {
        var stride = (table.Length - 1) / (double)n;                                // multiplied like this, halves fall as numpy's do
        double[] times = [.. Enumerable.Range(0, n).Select(i => i == 0 ? table.Length - 1 : Math.Round((n - i) * stride))];
        return (times, [.. times.Select(SigmaOf), 0]);
    }

    /// <summary>The timestep of a level, linear in ln σ between the model's.</summary>
    public double TimestepOf(double sigma)
    {
        var log = Math.Log(Math.Max(sigma, 1e-10));
        var low = Math.Clamp(Array.FindLastIndex(table, known => Math.Log(known) <= log), 0, table.Length - 2);
        var (below, above) = (Math.Log(table[low]), Math.Log(table[low + 1]));
        return low + Math.Clamp((below - log) / (below - above), 0, 1);
    }

    private double SigmaOf(double t)
    {
        var low = Math.Min((int)t, table.Length - 2);
        return (float)(table[low] + (table[low + 1] - table[low]) * (t - low));
    }
}
