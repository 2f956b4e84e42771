using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class Samplers
{
    /// <summary>A step with the slope of its (logarithmic) middle.</summary>
    /// <remarks>Lu et al. 2022, https://arxiv.org/abs/2206.00927, in the form of Karras et al.'s algorithm 2.</remarks>
    public static Sampler Dpm2 { get; } = new("DPM2", "The slope of the middle of each step", KDiffusion, WalkDpm2)
    {
        Aliases = ["k_dpm_2"],
        Churns = true,
        Schedule = SigmaSchedules.Karras,
        SecondOrder = true,
        DiscardsPenultimate = true,
    };

    private static Tensor WalkDpm2(SamplerWalk walk, Tensor x)
    {
        using var scope = NewDisposeScope();
        for (var i = 0; i + 1 < walk.Sigmas.Count; i++)
        {
            using var step = NewDisposeScope();
            var (raised, sigma) = Churned(walk, x, i);
            x = MiddleStep(walk, i, raised, sigma, walk.Sigmas[i + 1]).MoveToOuterDisposeScope();
        }
        return x.MoveToOuterDisposeScope();
    }

    private static Tensor MiddleStep(SamplerWalk walk, int step, Tensor x, double from, double to)
    {
        var denoised = walk.Denoise(x, from);
        walk.Report(step, x, denoised);
        var slope = Slope(x, from, denoised);
        if (to == 0) return x + slope * (to - from);
        var middle = Math.Sqrt(from * to);
        var halfway = x + slope * (middle - from);
        return x + Slope(halfway, middle, walk.Denoise(halfway, middle)) * (to - from);
    }
}
