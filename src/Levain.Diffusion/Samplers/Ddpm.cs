using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class Samplers
{
    /// <summary>The model's own reverse process.</summary>
    /// <remarks>Ho et al. 2020, https://arxiv.org/abs/2006.11239, algorithm 2, between any two levels; Forge has it.</remarks>
    public static Sampler Ddpm { get; } = new("DDPM", "The model's own reverse process", new("https://arxiv.org/abs/2006.11239"), WalkDdpm)
    {
        Aliases = ["k_ddpm"],
    };

    private static Tensor WalkDdpm(SamplerWalk walk, Tensor x)
    {
        using var scope = NewDisposeScope();
        for (var i = 0; i + 1 < walk.Sigmas.Count; i++)
        {
            using var step = NewDisposeScope();
            var (from, to) = (walk.Sigmas[i], walk.Sigmas[i + 1]);
            var denoised = walk.Denoise(x, from);
            walk.Report(i, x, denoised);
            var (left, next) = (1 / (from * from + 1), 1 / (to * to + 1));          // ᾱ of both levels
            var alpha = left / next;
            var noise = Slope(x, from, denoised);
            var mean = (x * Math.Sqrt(left) - noise * ((1 - alpha) / Math.Sqrt(1 - left))) / Math.Sqrt(alpha);
            if (to > 0) mean = mean + walk.Noise(from, to) * Math.Sqrt((1 - alpha) * (1 - next) / (1 - left));
            x = (mean * Math.Sqrt(1 + to * to)).MoveToOuterDisposeScope();
        }
        return x.MoveToOuterDisposeScope();
    }
}
