using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class Samplers
{
    /// <summary>Euler, then once more with the mean of both slopes.</summary>
    public static Sampler Heun { get; } = new("Heun", "Two model calls a step, the mean of both slopes", KDiffusion, WalkHeun)
    {
        Aliases = ["k_heun"],
        Churns = true,
        SecondOrder = true,
    };

    private static Tensor WalkHeun(SamplerWalk walk, Tensor x)
    {
        using var scope = NewDisposeScope();
        for (var i = 0; i + 1 < walk.Sigmas.Count; i++)
        {
            using var step = NewDisposeScope();
            var (raised, sigma) = Churned(walk, x, i);
            x = HeunStep(walk, i, raised, sigma, walk.Sigmas[i + 1]).MoveToOuterDisposeScope();
        }
        return x.MoveToOuterDisposeScope();
    }

    private static Tensor HeunStep(SamplerWalk walk, int step, Tensor x, double from, double to)
    {
        var denoised = walk.Denoise(x, from);
        walk.Report(step, x, denoised);
        var slope = Slope(x, from, denoised);
        var next = x + slope * (to - from);
        if (to == 0) return next;
        var second = Slope(next, to, walk.Denoise(next, to));
        return x + (slope + second) / 2 * (to - from);
    }
}
