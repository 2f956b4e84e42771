using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class Samplers
{
    /// <summary>DPM2 with fresh noise each step.</summary>
    public static Sampler Dpm2Ancestral { get; } = new("DPM2 a", "DPM2 with fresh noise each step", KDiffusion, WalkDpm2Ancestral)
    {
        Aliases = ["k_dpm_2_a"],
        Eta = 1,
        ScalesNoise = true,
        Schedule = SigmaSchedules.Karras,
        SecondOrder = true,
        DiscardsPenultimate = true,
        UsesSeedDelta = true,
    };

    private static Tensor WalkDpm2Ancestral(SamplerWalk walk, Tensor x)
    {
        using var scope = NewDisposeScope();
        for (var i = 0; i + 1 < walk.Sigmas.Count; i++)
        {
            using var step = NewDisposeScope();
            var (from, to) = (walk.Sigmas[i], walk.Sigmas[i + 1]);
            var (down, up) = Ancestral(from, to, walk.Options.Eta ?? 1);
            var next = MiddleStep(walk, i, x, from, down);
            if (down > 0) next = next + walk.Noise(from, to) * (walk.Options.NoiseScale * up);
            x = next.MoveToOuterDisposeScope();
        }
        return x.MoveToOuterDisposeScope();
    }
}
