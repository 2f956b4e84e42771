using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class Samplers
{
    /// <summary>One straight step a level.</summary>
    public static Sampler Euler { get; } = new("Euler", "One straight step a level", KDiffusion, WalkEuler) { Aliases = ["k_euler"], Churns = true };

    private static Tensor WalkEuler(SamplerWalk walk, Tensor x)
    {
        using var scope = NewDisposeScope();
        for (var i = 0; i + 1 < walk.Sigmas.Count; i++)
        {
            using var step = NewDisposeScope();
            var (raised, sigma) = Churned(walk, x, i);
            var denoised = walk.Denoise(raised, sigma);
            walk.Report(i, raised, denoised);
            x = (raised + Slope(raised, sigma, denoised) * (walk.Sigmas[i + 1] - sigma)).MoveToOuterDisposeScope();
        }
        return x.MoveToOuterDisposeScope();
    }
}
