using static TorchSharp.torch;

namespace Levain.Diffusion;

/// <summary>What is added to a latent before a training step, beyond plain noise. Every function draws in kohya's order and returns a new tensor of the caller's scope.</summary>
public static class TrainingNoise
{
    /// <summary>Adds a constant to each channel, so that very dark and very bright pictures can be learnt.</summary>
    /// <remarks>Guttenberg 2023, https://www.crosslabs.org/blog/diffusion-with-offset-noise; the adaptive part is kohya's.</remarks>
    /// <param name="noise">[B, C, H, W].</param>
    /// <param name="latents">What the noise is for, already scaled; the adaptive part looks at its channel means.</param>
    /// <param name="strength">Standard deviation of the constant.</param>
    /// <param name="randomStrength">Whether the strength is first multiplied by one number of [0, 1).</param>
    /// <param name="adaptiveScale">Adds this times |mean of the channel| to the strength, which stays at 0 or above; null: not.</param>
    /// <param name="generator">Source of the numbers.</param>
    public static Tensor WithOffset(Tensor noise, Tensor latents, double strength, bool randomStrength, double? adaptiveScale, Generator generator)
    {
        using var scope = NewDisposeScope();
        var (batch, channels) = (latents.shape[0], latents.shape[1]);
        if (randomStrength) strength *= rand(1, generator: generator).item<float>();
        var offset = randn([batch, channels, 1, 1], generator: generator).to(noise.device);
        var scaled = adaptiveScale is { } scale
            ? latents.mean([2, 3], keepdim: true).abs().mul(scale).add(strength).clamp_min(0).mul(offset)
            : offset.mul(strength);
        return noise.add(scaled).MoveToOuterDisposeScope();
    }

    /// <summary>Adds noise of coarser and coarser resolutions, then brings the whole batch back to a standard deviation of 1.</summary>
    /// <remarks>Whitaker 2023, https://wandb.ai/johnowhitaker/multires_noise/reports/Multi-Resolution-Noise-for-Diffusion-Model-Training--VmlldzozNjYyOTU2. The first round already has full size.</remarks>
    /// <param name="noise">[B, C, H, W].</param>
    /// <param name="iterations">Rounds at most; the last is the first whose width or height is one cell.</param>
    /// <param name="discount">Weight of a round relative to the one before.</param>
    /// <param name="uniform">Numbers of [0, 1) that decide the resolutions; one a round.</param>
    /// <param name="generator">Source of the noise.</param>
    public static Tensor WithPyramid(Tensor noise, int iterations, double discount, Func<double> uniform, Generator generator)
    {
        using var scope = NewDisposeScope();
        var (batch, channels, height, width) = (noise.shape[0], noise.shape[1], noise.shape[2], noise.shape[3]);
        var sum = noise;
        for (var i = 0; i < iterations; i++)
        {
            var divisor = Math.Pow(uniform() * 2 + 2, i);
            var (coarseHeight, coarseWidth) = (Math.Max(1, (long)(height / divisor)), Math.Max(1, (long)(width / divisor)));
            var coarse = randn([batch, channels, coarseHeight, coarseWidth], generator: generator).to(noise.device);
            var fine = nn.functional.interpolate(coarse, [height, width], mode: InterpolationMode.Bilinear, align_corners: false);
            sum = sum.add(fine, alpha: Math.Pow(discount, i));
            if (coarseWidth == 1 || coarseHeight == 1) break;
        }
        return sum.div(sum.std()).MoveToOuterDisposeScope();
    }

    /// <summary>The forward process: √ᾱ·x + √(1 − ᾱ)·ε.</summary>
    /// <param name="latents">x, [B, C, H, W].</param>
    /// <param name="noise">ε, the same shape.</param>
    /// <param name="alphasCumprod">ᾱ of each sample, [B].</param>
    public static Tensor Add(Tensor latents, Tensor noise, Tensor alphasCumprod)
    {
        using var scope = NewDisposeScope();
        var alpha = alphasCumprod.view(-1, 1, 1, 1);
        return latents.mul(alpha.sqrt()).add_(noise.mul((1 - alpha).sqrt_())).MoveToOuterDisposeScope();
    }

    /// <summary>Velocity, the target of v-prediction: √ᾱ·ε − √(1 − ᾱ)·x.</summary>
    /// <remarks>Salimans and Ho 2022, https://arxiv.org/abs/2202.00512, appendix D.</remarks>
    public static Tensor Velocity(Tensor latents, Tensor noise, Tensor alphasCumprod)
    {
        using var scope = NewDisposeScope();
        var alpha = alphasCumprod.view(-1, 1, 1, 1);
        return noise.mul(alpha.sqrt()).sub_(latents.mul((1 - alpha).sqrt_())).MoveToOuterDisposeScope();
    }
}
