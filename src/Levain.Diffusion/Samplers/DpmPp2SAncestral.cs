using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class Samplers
{
    /// <summary>DPM-Solver++ of second order within a step, with fresh noise.</summary>
    /// <remarks>Lu et al. 2022, https://arxiv.org/abs/2211.01095, algorithm 1.</remarks>
    public static Sampler DpmPp2SAncestral { get; } = new("DPM++ 2S a", "Two model calls a step, fresh noise each step", new("https://arxiv.org/abs/2211.01095"), WalkDpmPp2SAncestral)
    {
        Aliases = ["k_dpmpp_2s_a"],
        Eta = 1,
        ScalesNoise = true,
        Schedule = SigmaSchedules.Karras,
        SecondOrder = true,
        UsesSeedDelta = true,
    };

    private static Tensor WalkDpmPp2SAncestral(SamplerWalk walk, Tensor x)
    {
        using var scope = NewDisposeScope();
        for (var i = 0; i + 1 < walk.Sigmas.Count; i++)
        {
            using var step = NewDisposeScope();
            var (from, to) = (walk.Sigmas[i], walk.Sigmas[i + 1]);
            var (down, up) = Ancestral(from, to, walk.Options.Eta ?? 1);
            var denoised = walk.Denoise(x, from);
            walk.Report(i, x, denoised);
            if (down > 0)
            {
                var middle = Math.Sqrt(from * down);
                denoised = walk.Denoise(x * (middle / from) + denoised * (1 - middle / from), middle);
            }
            var next = x * (down / from) + denoised * (1 - down / from);
            if (to > 0) next = next + walk.Noise(from, to) * (walk.Options.NoiseScale * up);
            x = next.MoveToOuterDisposeScope();
        }
        return x.MoveToOuterDisposeScope();
    }
}
