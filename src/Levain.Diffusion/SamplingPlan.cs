using Levain.Core;

namespace Levain.Diffusion;

/// <summary>How levels are chosen; defaults are the webui's.</summary>
public sealed record ScheduleOptions
{
    /// <summary>The levels; null for the sampler's own choice ("Automatic").</summary>
    public SigmaSchedule? Schedule { get; init; }

    /// <summary>Quietest level; null or 0 for the model's.</summary>
    public double? SigmaMin { get; init; }

    /// <summary>Loudest level; null or 0 for the model's.</summary>
    public double? SigmaMax { get; init; }

    /// <summary>Bend of the schedule; null or 0 for its own.</summary>
    public double? Rho { get; init; }

    /// <summary>Leaves the last but one level out whatever the sampler.</summary>
    public bool DiscardPenultimate { get; init; }

    /// <summary>Takes 0.1 and 10 for the quietest and loudest level, as the webui's first Karras schedule did.</summary>
    public bool OldKarrasRange { get; init; }

    /// <summary>Starts at √(1 + σ²) as Stability's code does, instead of σ.</summary>
    public bool SgmNoise { get; init; }

    /// <summary>α of the Beta schedule.</summary>
    public double BetaA { get; init; } = 0.6;

    /// <summary>β of the Beta schedule.</summary>
    public double BetaB { get; init; } = 0.6;

    /// <summary>Whether the model is SDXL.</summary>
    public bool Sdxl { get; init; }

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    public void Check(Problems problems)
    {
        Positive(Given(SigmaMin), "schedule_min_sigma", "0.03 is usual");
        Positive(Given(SigmaMax), "schedule_max_sigma", "14.6 is usual");
        problems.Require(Rho is null or 0 || double.IsFinite(Rho.Value), "schedule_rho", $"is {Rho}.", "Use 7, which is usual.");
        Positive(BetaA, "beta_schedule_alpha", "0.6 is usual");
        Positive(BetaB, "beta_schedule_beta", "0.6 is usual");

        void Positive(double? number, string name, string usual) => problems.Require(number is null || (double.IsFinite(number.Value) && number > 0), name, $"is {number}.", $"Use a positive number; {usual}.");
    }

    /// <summary>A number, where it is not 0: the webui's word for its own choice.</summary>
    internal static double? Given(double? number) => number is 0 ? null : number;
}

/// <summary>The levels or timesteps of one walk.</summary>
/// <param name="Sampler">Who walks.</param>
/// <param name="Sigmas">Levels, loudest first; empty for a sampler that walks timesteps.</param>
/// <param name="Timesteps">Timesteps, rising; empty for a sampler that walks levels.</param>
/// <param name="Model">The model's levels, as far as the sampler knows them.</param>
public sealed record SamplingPlan(Sampler Sampler, IReadOnlyList<double> Sigmas, IReadOnlyList<int> Timesteps, ModelSigmas Model)
{
    private const double OldKarrasMin = 0.1, OldKarrasMax = 10;

    /// <summary>What noise of deviation 1 is multiplied by before it is added to the picture at the start.</summary>
    public required double StartScale { get; init; }

    /// <summary>What the picture is multiplied by at the start: 1, or √ᾱ where timesteps are walked.</summary>
    public double SignalScale { get; init; } = 1;

    /// <summary>Loudest and quietest level of the walk, for samplers that find their own levels between them.</summary>
    public (double Loudest, double Quietest) Range { get; init; }

    /// <summary>Quietest and loudest level of the whole schedule, even where the walk begins in its midst: what Brownian noise runs over.</summary>
    public (double Quietest, double Loudest) Span { get; init; }

    /// <summary>Calls of the model that samplers which find their own levels may make.</summary>
    public int Budget { get; init; }

    /// <summary>Whether the walk begins at a picture instead of pure noise.</summary>
    public bool FromPicture { get; init; }

    /// <summary>Steps that will be reported.</summary>
    public int Steps => Math.Max(Sigmas.Count, Timesteps.Count) - 1;

    /// <summary>Plans a walk from pure noise.</summary>
    /// <param name="sampler">Who walks.</param>
    /// <param name="steps">Steps, from 1.</param>
    /// <param name="model">The model's levels.</param>
    /// <param name="options">How levels are chosen.</param>
    public static SamplingPlan For(Sampler sampler, int steps, ModelSigmas model, ScheduleOptions options)
    {
        var discards = sampler.DiscardsPenultimate && !sampler.WalksTimesteps || options.DiscardPenultimate;
        var count = steps + (discards ? 1 : 0);
        if (sampler.WalksTimesteps) return new(sampler, [], TimestepsFor(count, model.Count), model) { StartScale = 1, Budget = steps };

        var levels = sampler.Levels?.Invoke(model) ?? model;
        var schedule = options.Schedule ?? sampler.Schedule!;
        var (min, max) = options.OldKarrasRange ? (OldKarrasMin, OldKarrasMax) : (levels.Min, levels.Max);
        var request = new SigmaRequest(count, levels, ScheduleOptions.Given(options.SigmaMin) ?? min, ScheduleOptions.Given(options.SigmaMax) ?? max,
            ScheduleOptions.Given(options.Rho) ?? schedule.DefaultRho, options.BetaA, options.BetaB, options.Sdxl);
        List<double> sigmas = [.. schedule.Sigmas(request).Select(sigma => (double)(float)sigma)];      // fp32, as the references hold them
        if (discards && sigmas.Count > 1) sigmas.RemoveAt(sigmas.Count - 2);
        return new(sampler, sigmas, [], levels)
        {
            StartScale = options.SgmNoise ? Math.Sqrt(1 + sigmas[0] * sigmas[0]) : sigmas[0],
            Range = (levels.Max, levels.Min),
            Span = (sigmas.Where(sigma => sigma > 0).Min(), sigmas.Max()),
            Budget = steps,
        };
    }

    /// <summary>Plans a walk from a picture: the end of a longer walk.</summary>
    /// <param name="sampler">Who walks.</param>
    /// <param name="share">Steps of the longer walk and how many of them are made.</param>
    /// <param name="model">The model's levels.</param>
    /// <param name="options">How levels are chosen.</param>
    public static SamplingPlan ForPicture(Sampler sampler, Img2ImgSteps share, ModelSigmas model, ScheduleOptions options)
    {
        var whole = For(sampler, share.Steps, model, options);
        if (sampler.WalksTimesteps)
        {
            // The noise is that of the first timestep left out, the walk begins one below it: the webui's way.
            double alpha = model.Schedule.AlphasCumprod[whole.Timesteps[Math.Min(share.Encoded, whole.Timesteps.Count - 1)]];
            return whole with
            {
                Timesteps = [.. whole.Timesteps.Take(share.Encoded)],
                SignalScale = Math.Sqrt(alpha),
                StartScale = Math.Sqrt(1 - alpha),
                FromPicture = true,
            };
        }
        List<double> sigmas = [.. whole.Sigmas.Skip(Math.Max(share.Steps - share.Encoded - 1, 0))];
        return whole with
        {
            Sigmas = sigmas,
            StartScale = sigmas[0],
            Range = sigmas.Count > 1 ? (sigmas[0], sigmas[^2]) : (sigmas[0], sigmas[0]),
            Budget = sigmas.Count - 1,
            FromPicture = true,
        };
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
