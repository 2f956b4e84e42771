using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class Samplers
{
    /// <summary>Euler with fresh noise each step.</summary>
    public static Sampler EulerAncestral { get; } = new("Euler a", "Euler with fresh noise each step", KDiffusion, WalkEulerAncestral)
    {
        Aliases = ["k_euler_a", "k_euler_ancestral"],
        Eta = 1,
        UsesSeedDelta = true,
    };

    private static Tensor WalkEulerAncestral(SamplerWalk walk, Tensor x)
    {
        using var scope = NewDisposeScope();
        for (var i = 0; i + 1 < walk.Sigmas.Count; i++)
        {
            using var step = NewDisposeScope();
            var (from, to) = (walk.Sigmas[i], walk.Sigmas[i + 1]);
            var (down, up) = Ancestral(from, to, walk.Options.Eta ?? 1);
            var denoised = walk.Denoise(x, from);
            walk.Report(i, x, denoised);
            var next = x + Slope(x, from, denoised) * (down - from);
            if (to > 0) next = next + walk.Noise(from, to) * up;        // the webui passes no noise factor to this one
            x = next.MoveToOuterDisposeScope();
        }
        return x.MoveToOuterDisposeScope();
    }
}
