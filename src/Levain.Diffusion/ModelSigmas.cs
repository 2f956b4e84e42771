namespace Levain.Diffusion;

/// <summary>The noise levels a model was trained at, and the way between level σ and (possibly fractional) timestep t: linear in ln σ, held at both ends.</summary>
/// <remarks>Karras et al. 2022, https://arxiv.org/abs/2206.00364, appendix C.3.4; k-diffusion's <c>DiscreteSchedule</c>.</remarks>
public sealed class ModelSigmas
{
    private readonly float[] logs;

    /// <param name="schedule">The schedule the model was trained with, in the samplers' rounding.</param>
    public ModelSigmas(NoiseSchedule schedule)
    {
        Schedule = schedule;
        logs = [.. schedule.Sigmas.Select(MathF.Log)];
    }

    /// <summary>The schedule behind the levels.</summary>
    public NoiseSchedule Schedule { get; }

    /// <summary>The quietest level, 0.0292 for SD.</summary>
    public double Min => Schedule.Sigmas[0];

    /// <summary>The loudest level, 14.61 for SD.</summary>
    public double Max => Schedule.Sigmas[^1];

    /// <summary>Levels known.</summary>
    public int Count => logs.Length;

    /// <summary>The level at timestep <paramref name="t"/>, 0 to 999.</summary>
    public double SigmaOf(double t)
    {
        t = Math.Clamp(t, 0, Count - 1);
        var (low, share) = ((int)Math.Floor(t), t - Math.Floor(t));
        var high = (int)Math.Ceiling(t);
        return (float)Math.Exp((1 - share) * logs[low] + share * logs[high]);
    }

    /// <summary>The timestep of level <paramref name="sigma"/>, 0 to 999, fractional between the known levels.</summary>
    public double TimestepOf(double sigma)
    {
        var log = Math.Log(sigma);
        var low = Math.Clamp(Array.FindLastIndex(logs, known => known <= log), 0, Count - 2);
        var share = Math.Clamp((logs[low] - log) / (logs[low] - logs[low + 1]), 0, 1);
        return (1 - share) * low + share * (low + 1);
    }

    /// <summary>The known level nearest to <paramref name="sigma"/> as a timestep.</summary>
    public int NearestTimestepOf(double sigma)
    {
        var log = Math.Log(sigma);
        return Enumerable.Range(0, Count).MinBy(t => Math.Abs(logs[t] - log));
    }
}
