using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class Samplers
{
    /// <summary>Heun with up to three slopes a step, weighed by how far along the walk is.</summary>
    /// <remarks>Forge's <c>sample_heunpp2</c>; an extension of Karras et al. 2022, https://arxiv.org/abs/2206.00364, algorithm 2.</remarks>
    public static Sampler HeunPp2 { get; } = new("HeunPP2", "Heun with up to three slopes a step", new("https://github.com/lllyasviel/stable-diffusion-webui-forge"), WalkHeunPp2)
    {
        Aliases = ["k_heunpp2"],
        Churns = true,
    };

    private static Tensor WalkHeunPp2(SamplerWalk walk, Tensor x)
    {
        using var scope = NewDisposeScope();
        var (sigmas, end) = (walk.Sigmas, walk.Sigmas[^1]);
        for (var i = 0; i + 1 < sigmas.Count; i++)
        {
            using var step = NewDisposeScope();
            var (raised, sigma) = Churned(walk, x, i);
            var denoised = walk.Denoise(raised, sigma);
            walk.Report(i, raised, denoised);
            var slope = Slope(raised, sigma, denoised);
            var length = sigmas[i + 1] - sigma;
            if (sigmas[i + 1] != end)
            {
                var ahead = raised + slope * length;
                var second = Slope(ahead, sigmas[i + 1], walk.Denoise(ahead, sigmas[i + 1]));
                if (sigmas[i + 2] == end)
                {
                    var share = sigmas[i + 1] / (2 * sigmas[0]);
                    slope = slope * (1 - share) + second * share;
                }
                else
                {
                    var further = ahead + second * (sigmas[i + 2] - sigmas[i + 1]);
                    var third = Slope(further, sigmas[i + 2], walk.Denoise(further, sigmas[i + 2]));
                    var (two, three) = (sigmas[i + 1] / (3 * sigmas[0]), sigmas[i + 2] / (3 * sigmas[0]));
                    slope = slope * (1 - two - three) + second * two + third * three;
                }
            }
            x = (raised + slope * length).MoveToOuterDisposeScope();
        }
        return x.MoveToOuterDisposeScope();
    }
}
