using static TorchSharp.torch;

namespace Levain.Diffusion;

/// <summary>The model as kohya's programs ask it: a latent brought to variance 1 and a timestep, possibly fractional; noise or v comes back, guided.</summary>
public delegate Tensor PredictAt(Tensor scaled, double t);

/// <summary>What a sampler of kohya's programs walks with.</summary>
/// <param name="Predict">The model.</param>
/// <param name="Steps">Steps asked for.</param>
/// <param name="Schedule">The trainer's schedule, <see cref="NoiseSchedule.Sd1"/>.</param>
/// <param name="Noise">The next noise of the latent's shape.</param>
public sealed record KohyaWalk(PredictAt Predict, int Steps, NoiseSchedule Schedule, Func<Tensor> Noise)
{
    /// <summary>Whether the model predicts v instead of noise.</summary>
    public bool PredictsV { get; init; }

    /// <summary>As <c>gen_img.py</c> samples, instead of a trainer's previews: timesteps one later, clean latents not cut to ±1.</summary>
    public bool GenImg { get; init; }

    /// <summary>Share of fresh noise of DDIM.</summary>
    public double Eta { get; init; }

    /// <summary>Called after every call of the model with the latent as it is then; may throw to stop the walk.</summary>
    public Action<SamplerStep>? OnStep { get; init; }

    /// <summary>Timesteps behind which the model's are counted: diffusers' <c>steps_offset</c>.</summary>
    internal int Offset => GenImg ? 1 : 0;

    /// <summary>Cuts a clean latent to ±1 where kohya's previews do.</summary>
    internal Tensor Clipped(Tensor clean) => GenImg ? clean : clean.clamp(-1, 1);

    /// <summary>Clean latent and noise of a latent x = α·x₀ + σ·ε, from what the model says.</summary>
    internal (Tensor Clean, Tensor Noise) Split(Tensor x, Tensor said, double alpha, double sigma) =>
        PredictsV ? (x * alpha - said * sigma, said * alpha + x * sigma) : ((x - said * sigma) / alpha, said);
}

/// <summary>A sampler under the name kohya's programs give it (<c>--sample_sampler</c>), with the numbers of the diffusers scheduler behind it.</summary>
/// <param name="Name">The name, <c>euler_a</c>.</param>
/// <param name="Scheduler">The diffusers class.</param>
/// <param name="StartScale">What noise of deviation 1 is multiplied by at the start.</param>
/// <param name="Walk">Turns the start into the end; the caller's scope owns it.</param>
public sealed record KohyaSampler(string Name, string Scheduler, Func<KohyaWalk, double> StartScale, Func<KohyaWalk, Tensor, Tensor> Walk)
{
    /// <summary>Other names it is called by.</summary>
    public IReadOnlyList<string> Aliases { get; init; } = [];

    /// <summary>Whether the schedule may be one without signal at its end.</summary>
    public bool TakesZeroTerminal { get; init; }
}
