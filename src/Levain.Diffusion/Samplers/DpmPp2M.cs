using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class Samplers
{
    /// <summary>DPM-Solver++ of second order over several steps: the guess is carried on by the one before.</summary>
    /// <remarks>Lu et al. 2022, https://arxiv.org/abs/2211.01095, algorithm 2.</remarks>
    public static Sampler DpmPp2M { get; } = new("DPM++ 2M", "The guess carried on by the one before; good in 20 steps", new("https://arxiv.org/abs/2211.01095"), WalkDpmPp2M)
    {
        Aliases = ["k_dpmpp_2m"],
        Schedule = SigmaSchedules.Karras,
    };

    private static Tensor WalkDpmPp2M(SamplerWalk walk, Tensor x)
    {
        using var scope = NewDisposeScope();
        Tensor? before = null;
        var hBefore = 0.0;
        for (var i = 0; i + 1 < walk.Sigmas.Count; i++)
        {
            using var step = NewDisposeScope();
            var (from, to) = (walk.Sigmas[i], walk.Sigmas[i + 1]);
            var denoised = walk.Denoise(x, from);
            walk.Report(i, x, denoised);
            var h = Math.Log(from / to);                                 // λ' − λ with λ = −ln σ; infinite at the end
            var guess = denoised;
            if (before is not null && to > 0)
            {
                var half = h / (2 * hBefore);                            // 1/2r with r = h before ÷ h
                guess = denoised * (1 + half) - before * half;
            }
            x = (x * (to / from) + guess * (1 - to / from)).MoveToOuterDisposeScope();
            (before, hBefore) = (denoised.MoveToOuterDisposeScope(), h);
        }
        return x.MoveToOuterDisposeScope();
    }
}
