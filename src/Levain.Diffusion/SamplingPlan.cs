namespace Levain.Diffusion;

/// <summary>How levels are chosen; defaults are the webui's.</summary>
public sealed record ScheduleOptions
{
    /// <summary>The levels; null for the sampler's own choice ("Automatic").</summary>
    public SigmaSchedule? Schedule { get; init; }

    /// <summary>Quietest level; null for the model's.</summary>
    public double? SigmaMin { get; init; }

    /// <summary>Loudest level; null for the model's.</summary>
    public double? SigmaMax { get; init; }

    /// <summary>Bend of the schedule; null for its own.</summary>
    public double? Rho { get; init; }

    /// <summary>Leaves the last but one level out whatever the sampler.</summary>
    public bool DiscardPenultimate { get; init; }

    /// <summary>Starts at √(1 + σ²) as Stability's code does, instead of σ.</summary>
    public bool SgmNoise { get; init; }

    /// <summary>α of the Beta schedule.</summary>
    public double BetaA { get; init; } = 0.6;

    /// <summary>β of the Beta schedule.</summary>
    public double BetaB { get; init; } = 0.6;

    /// <summary>Whether the model is SDXL.</summary>
    public bool Sdxl { get; init; }
}

/// <summary>The levels or timesteps of one walk.</summary>
/// <param name="Sampler">Who walks.</param>
/// <param name="Sigmas">Levels, loudest first; empty for a sampler that walks timesteps.</param>
/// <param name="Timesteps">Timesteps, rising; empty for a sampler that walks levels.</param>
/// <param name="Model">The model's levels.</param>
/// <param name="StartScale">What noise of deviation 1 is multiplied by at the start.</param>
public sealed record SamplingPlan(Sampler Sampler, IReadOnlyList<double> Sigmas, IReadOnlyList<int> Timesteps, ModelSigmas Model, double StartScale)
{
    /// <summary>Steps that will be reported.</summary>
    public int Steps => Math.Max(Sigmas.Count, Timesteps.Count) - 1;

    /// <summary>Plans a walk from pure noise.</summary>
    public static SamplingPlan For(Sampler sampler, int steps, ModelSigmas model, ScheduleOptions options)
    {
        var discards = sampler.DiscardsPenultimate && !sampler.WalksTimesteps || options.DiscardPenultimate;
        var count = steps + (discards ? 1 : 0);
        if (sampler.WalksTimesteps) return new(sampler, [], TimestepsFor(count, model.Count), model, 1);

        var schedule = options.Schedule ?? sampler.Schedule!;
        var request = new SigmaRequest(count, model, options.SigmaMin ?? model.Min, options.SigmaMax ?? model.Max,
            options.Rho ?? schedule.DefaultRho, options.BetaA, options.BetaB, options.Sdxl);
        List<double> sigmas = [.. schedule.Sigmas(request).Select(sigma => (double)(float)sigma)];      // fp32, as the references hold them
        if (discards && sigmas.Count > 1) sigmas.RemoveAt(sigmas.Count - 2);
        return new(sampler, sigmas, [], model, options.SgmNoise ? Math.Sqrt(1 + sigmas[0] * sigmas[0]) : sigmas[0]);
    }

    /// <summary>Every ⌊1000 ÷ n⌋-th timestep from 1 on; there may be one or a few more than asked for.</summary>
    private static List<int> TimestepsFor(int steps, int count)
    {
        var stride = Math.Max(count / steps, 1);
        var times = new List<int>();
        for (var t = 0; t < count; t += stride) times.Add(Math.Min(t + 1, count - 1));
        return times;
    }
}
