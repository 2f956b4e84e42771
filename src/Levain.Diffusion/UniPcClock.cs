namespace Levain.Diffusion;

/// <summary>A moment of the forward process: x = α·x₀ + σ·ε, λ = ln(α ÷ σ).</summary>
internal readonly record struct UniPcMoment(double Alpha, double Sigma, double Lambda);

/// <summary>A model's timesteps as continuous time: timestep i is (i + 1) ÷ 1000, ln α is linear between them.</summary>
/// <remarks>Lu et al. 2022, https://arxiv.org/abs/2206.00927, appendix D.4: a discrete model as a continuous one.</remarks>
internal sealed class UniPcClock(NoiseSchedule schedule)
{
    private readonly double[] logAlphas = [.. schedule.AlphasCumprod.Select(alpha => 0.5 * Math.Log(alpha))];

    /// <summary>The time of a timestep.</summary>
    public double TimeOf(double timestep) => timestep / logAlphas.Length + 1.0 / logAlphas.Length;

    /// <summary>The timestep of a time, fractional between the known ones.</summary>
    public double TimestepOf(double time) => time * logAlphas.Length - 1;

    /// <summary>The moment at a time.</summary>
    public UniPcMoment At(double time)
    {
        var place = TimestepOf(time);
        var low = Math.Clamp((int)Math.Floor(place), 0, logAlphas.Length - 2);
        var log = double.Lerp(logAlphas[low], logAlphas[low + 1], place - low);
        var sigma = Math.Sqrt(1 - Math.Exp(2 * log));
        return new(Math.Exp(log), sigma, log - Math.Log(sigma));
    }

    /// <summary>n + 1 times from <paramref name="start"/> down to the first timestep.</summary>
    public double[] Times(UniPcSpacing spacing, double start, int n)
    {
        var end = TimeOf(0);
        return spacing switch
        {
            UniPcSpacing.TimeUniform => [.. SigmaSchedules.Even(start, end, n + 1)],
            UniPcSpacing.TimeQuadratic => [.. SigmaSchedules.Even(Math.Sqrt(start), Math.Sqrt(end), n + 1).Select(root => root * root)],
            _ => [.. SigmaSchedules.Even(At(start).Lambda, At(end).Lambda, n + 1).Select(TimeOfLambda)],
        };
    }

    private double TimeOfLambda(double lambda)
    {
        var log = -0.5 * Math.Log(1 + Math.Exp(-2 * lambda));                       // ln α falls with time
        var high = Math.Clamp(Array.FindIndex(logAlphas, known => known <= log), 1, logAlphas.Length - 1);
        return TimeOf(high - 1 + (logAlphas[high - 1] - log) / (logAlphas[high - 1] - logAlphas[high]));
    }
}
