using static TorchSharp.torch;

namespace Levain.Diffusion;

/// <summary>The model's guess of the clean latent.</summary>
/// <param name="x">Latent with noise of deviation <paramref name="sigma"/> on it, [B, 4, H, W].</param>
/// <param name="sigma">Noise level.</param>
public delegate Tensor Denoise(Tensor x, double sigma);

/// <summary>The model's guess of the noise in a latent whose variance is kept at 1 (x = √ᾱ·x₀ + √(1 − ᾱ)·ε).</summary>
/// <param name="x">Latent, [B, 4, H, W].</param>
/// <param name="t">Timestep, 0 to 999.</param>
public delegate Tensor PredictNoise(Tensor x, double t);

/// <summary>Fresh noise of the latent's shape, for the way from level <paramref name="from"/> to level <paramref name="to"/>.</summary>
public delegate Tensor DrawNoise(double from, double to);

/// <summary>What a sampler has after one step, for progress, previews and tests.</summary>
/// <param name="Step">Steps begun before this one.</param>
/// <param name="X">The latent: before the update for samplers that walk noise levels, after it for those that walk timesteps.</param>
/// <param name="Denoised">The clean latent as it is guessed now.</param>
public readonly record struct SamplerStep(int Step, Tensor X, Tensor Denoised);

/// <summary>The guided guess of the noise and the one of the negative prompt alone.</summary>
/// <param name="Guided">Towards the prompt, away from the negative one.</param>
/// <param name="Negative">Of the negative prompt.</param>
public readonly record struct NoisePair(Tensor Guided, Tensor Negative);

/// <summary>As <see cref="PredictNoise"/>, with the negative prompt's guess beside it and the guidance scale multiplied by <paramref name="scaleFactor"/>.</summary>
public delegate NoisePair PredictNoisePair(Tensor x, double t, double scaleFactor);

/// <summary>Everything a sampler needs for one walk from noise to a picture.</summary>
/// <param name="Plan">Levels or timesteps.</param>
/// <param name="Denoise">The model, for samplers that walk noise levels.</param>
/// <param name="PredictNoise">The model, for samplers that walk timesteps.</param>
/// <param name="Noise">Where fresh noise comes from.</param>
/// <param name="Options">What the user set.</param>
/// <param name="OnStep">Called once a step; may throw to stop the walk.</param>
public sealed record SamplerWalk(
    SamplingPlan Plan, Denoise Denoise, PredictNoise PredictNoise, DrawNoise Noise, SamplerOptions Options, Action<SamplerStep>? OnStep = null)
{
    /// <summary>The model for samplers that need the negative prompt's guess (CFG++).</summary>
    public PredictNoisePair? PredictPair { get; init; }

    /// <summary>Levels, loudest first, usually with a 0 at the end; empty for a walk over timesteps.</summary>
    public IReadOnlyList<double> Sigmas => Plan.Sigmas;

    /// <summary>Timesteps, rising; empty for a walk over levels.</summary>
    public IReadOnlyList<int> Timesteps => Plan.Timesteps;

    /// <summary>The model's schedule.</summary>
    public NoiseSchedule Schedule => Plan.Model.Schedule;

    /// <summary>Tells whoever listens that a step is made.</summary>
    public void Report(int step, Tensor x, Tensor denoised) => OnStep?.Invoke(new(step, x, denoised));
}

/// <summary>A way to walk from noise to a picture.</summary>
/// <param name="Name">The webui's name, <c>DPM++ 2M</c>: infotext and grids show it.</param>
/// <param name="Summary">One line for menus.</param>
/// <param name="Source">Where it is described.</param>
/// <param name="Walk">Turns the start (noise at the first level) into the end; the caller's scope owns it.</param>
public sealed record Sampler(string Name, string Summary, Uri Source, Func<SamplerWalk, Tensor, Tensor> Walk)
{
    /// <summary>Other names it is called by, such as <c>k_euler_a</c>.</summary>
    public IReadOnlyList<string> Aliases { get; init; } = [];

    /// <summary>The schedule "Automatic" means; null for samplers that walk timesteps.</summary>
    public SigmaSchedule? Schedule { get; init; } = SigmaSchedules.Uniform;

    /// <summary>Whether it calls the model twice a step; prompt schedules count calls.</summary>
    public bool SecondOrder { get; init; }

    /// <summary>Whether one level more is computed and the last but one left out.</summary>
    public bool DiscardsPenultimate { get; init; }

    /// <summary>Whether later noise follows the seed delta (the webui's ENSD).</summary>
    public bool UsesSeedDelta { get; init; }

    /// <summary>Whether it can churn noise, <see cref="SamplerOptions.Churn"/>.</summary>
    public bool Churns { get; init; }

    /// <summary>Whether it knows <see cref="SamplerOptions.NoiseScale"/>; those that churn do too.</summary>
    public bool ScalesNoise { get; init; }

    /// <summary>Its own <see cref="SamplerOptions.Eta"/>; null where it knows none.</summary>
    public double? Eta { get; init; }

    /// <summary>Whether its noise is one Brownian motion a picture (<see cref="BrownianTree"/>) instead of fresh tensors.</summary>
    public bool Brownian { get; init; }

    /// <summary>How predicted noise becomes a clean latent; null for x − σε.</summary>
    public Func<PredictNoise, ModelSigmas, Denoise>? Denoiser { get; init; }

    /// <summary>Levels the sampler knows, from the model's; null for all of them.</summary>
    public Func<ModelSigmas, ModelSigmas>? Levels { get; init; }

    /// <summary>Whether it walks the model's timesteps (DDIM's family) instead of noise levels.</summary>
    public bool WalksTimesteps => Schedule is null;
}
