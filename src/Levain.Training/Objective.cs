using Levain.Core;
using Levain.Diffusion;
using Levain.Training.Settings;
using static TorchSharp.torch;

namespace Levain.Training;

/// <summary>Latents with noise on them, and what the U-Net should say about them.</summary>
/// <param name="Timesteps">How far each sample is noised, 0..999.</param>
/// <param name="Noisy">What the U-Net sees, [B, C, H, W].</param>
/// <param name="Target">What it should predict: the noise or the velocity, the same shape.</param>
internal sealed record NoisedLatents(IReadOnlyList<int> Timesteps, Tensor Noisy, Tensor Target);

/// <summary>What a step asks of the U-Net: noise on latents, and how its answer is judged. All numbers of the <c>[noise]</c> and <c>[loss]</c> tables.</summary>
internal sealed class Objective
{
    private readonly NoiseSettings noise;
    private readonly LossSettings loss;
    private readonly bool velocity;
    private readonly NoiseSchedule schedule;
    private readonly double[] snr;

    public Objective(NoiseSettings noise, LossSettings loss, bool velocity, Compat compat)
    {
        (this.noise, this.loss, this.velocity) = (noise, loss, velocity);
        schedule = noise.ZeroTerminalSnr ? NoiseSchedule.Sd1ZeroTerminal() : NoiseSchedule.Sd1();
        var weighing = compat.SnrBeforeZeroTerminal ? NoiseSchedule.Sd1() : schedule;
        snr = [.. weighing.AlphasCumprod.Select(alpha => LossWeights.Snr(alpha))];
    }

    /// <summary>Draws noise and timesteps in kohya's order. The caller's scope owns the tensors.</summary>
    /// <param name="latents">Scaled latents, [B, C, H, W].</param>
    /// <param name="random">The run's generators.</param>
    /// <param name="timestep">The timestep of all samples; null: drawn for each.</param>
    public NoisedLatents Noise(Tensor latents, RunRandom random, int? timestep = null)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var (device, generator) = (latents.device, random.Torch);
        var epsilon = randn(latents.shape, generator: generator).to(device);
        if (noise.Offset is { } offset and not 0)
            epsilon = TrainingNoise.WithOffset(epsilon, latents, offset, noise.OffsetRandomStrength, noise.AdaptiveScale is 0 ? null : noise.AdaptiveScale, generator);
        if (noise.MultiresIterations is { } rounds and not 0)
            epsilon = TrainingNoise.WithPyramid(epsilon, rounds, noise.MultiresDiscount, random.Python.Random, generator);

        var timesteps = timestep is { } all ? [.. Enumerable.Repeat(all, (int)latents.shape[0])] : Timesteps((int)latents.shape[0], generator);
        var alphas = tensor(timesteps.Select(t => schedule.AlphasCumprod[t]).ToArray()).to(device);
        var added = epsilon;
        if (noise.InputPerturbation is { } strength and not 0)
        {
            if (noise.InputPerturbationRandomStrength) strength *= rand(1, generator: generator).item<float>();
            added = epsilon.add(randn(latents.shape, generator: generator).to(device), alpha: strength);
        }
        var noisy = TrainingNoise.Add(latents, added, alphas);
        var target = velocity ? TrainingNoise.Velocity(latents, epsilon, alphas) : epsilon;
        return new(timesteps, noisy.MoveToOuterDisposeScope(), target.MoveToOuterDisposeScope());
    }

    /// <summary>The batch's loss, a scalar; differentiable. The caller's scope owns it.</summary>
    /// <param name="prediction">The U-Net's answer, fp32.</param>
    /// <param name="noised">What it was asked.</param>
    /// <param name="weights">Factor of each sample: the prior weight of regularization pictures, else 1.</param>
    /// <param name="masks">Weights of places, 0..1, [B, H, W] in px; null: all 1.</param>
    public Tensor Loss(Tensor prediction, NoisedLatents noised, IReadOnlyList<float> weights, Tensor? masks)
    {
        using var scope = NewDisposeScope();
        var distance = Distance(prediction, noised);
        if (masks is not null)
            distance = distance * nn.functional.interpolate(masks.unsqueeze(1).to(distance.device), [distance.shape[2], distance.shape[3]], mode: InterpolationMode.Area);
        var factors = noised.Timesteps.Zip(weights, (t, weight) => (float)(weight * Weight(snr[t]))).ToArray();
        // Places first, then samples: a masked place counts in the mean, as in kohya.
        return distance.mean([1, 2, 3]).mul_(tensor(factors).to(distance.device)).mean().MoveToOuterDisposeScope();
    }

    /// <summary>Timesteps that a run is judged at: evenly within those that are trained, without the ends (200, 400, 600, 800).</summary>
    public IReadOnlyList<int> JudgedAt
    {
        get
        {
            const int count = 4;
            var (low, high) = (noise.MinTimestep ?? 0, noise.MaxTimestep ?? schedule.Steps);
            return [.. Enumerable.Range(1, count).Select(i => (int)(low + i * ((double)(high - low) / (count + 1))))];
        }
    }

    private int[] Timesteps(int count, Generator generator)
    {
        var (low, high) = (noise.MinTimestep ?? 0, noise.MaxTimestep ?? schedule.Steps);
        if (low >= high) return [.. Enumerable.Repeat(high, count)];            // K-71
        using var drawn = randint(low, high, count, dtype: ScalarType.Int64, generator: generator);
        return [.. drawn.data<long>().Select(t => (int)t)];
    }

    private Tensor Distance(Tensor prediction, NoisedLatents noised) => loss.Type switch
    {
        LossType.L1 => Losses.Absolute(prediction, noised.Target),
        LossType.Huber => Losses.PseudoHuber(prediction, noised.Target, Thresholds(noised)),
        LossType.SmoothL1 => Losses.SmoothAbsolute(prediction, noised.Target, Thresholds(noised)),
        _ => Losses.Squared(prediction, noised.Target),
    };

    private Tensor Thresholds(NoisedLatents noised) => tensor(noised.Timesteps.Select(t => (float)(loss.HuberSchedule switch
    {
        HuberSchedule.Constant => loss.HuberC * loss.HuberScale,
        HuberSchedule.Exponential => Losses.ExponentialThreshold(t, schedule.Steps, loss.HuberC) * loss.HuberScale,
        _ => Losses.NoiseThreshold(schedule.AlphasCumprod[t], loss.HuberC),     // kohya's huber_scale has no part in this one
    })).ToArray()).to(noised.Target.device);

    private double Weight(double snr)
    {
        var weight = 1.0;
        if (loss.MinSnrGamma is { } gamma and not 0) weight *= LossWeights.MinSnr(snr, gamma, velocity);
        if (loss.ScaleVLikeNoise) weight *= LossWeights.VelocityLikeNoise(snr);
        if (loss.VPredLike is { } like and not 0) weight *= LossWeights.NoiseLikeVelocity(snr, like);
        if (loss.DebiasedEstimation) weight *= LossWeights.Debiased(snr, velocity);
        return weight;
    }
}
