using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class Samplers
{
    private const int LcmStride = 20;
    private const double LcmTimeScale = 10, LcmDeviation = 0.5;

    /// <summary>For models distilled to jump to the picture: each step takes the guess and adds noise again.</summary>
    /// <remarks>Luo et al. 2023, https://arxiv.org/abs/2310.04378, algorithm 3; it knows the 50 levels such models were distilled at.</remarks>
    public static Sampler Lcm { get; } = new("LCM", "For distilled models, 4 to 8 steps", new("https://arxiv.org/abs/2310.04378"), WalkLcm)
    {
        Aliases = ["k_lcm"],
        Levels = model => model.Every(LcmStride),
        Denoiser = LcmDenoiser,
    };

    private static Tensor WalkLcm(SamplerWalk walk, Tensor x)
    {
        using var scope = NewDisposeScope();
        for (var i = 0; i + 1 < walk.Sigmas.Count; i++)
        {
            using var step = NewDisposeScope();
            var (from, to) = (walk.Sigmas[i], walk.Sigmas[i + 1]);
            var denoised = walk.Denoise(x, from);
            walk.Report(i, x, denoised);
            x = (to > 0 ? denoised + walk.Noise(from, to) * to : denoised.alias()).MoveToOuterDisposeScope();
        }
        return x.MoveToOuterDisposeScope();
    }

    /// <summary>c_out·(x − σε) + c_skip·x at the nearest known level's timestep.</summary>
    private static Denoise LcmDenoiser(PredictNoise predict, ModelSigmas levels) => (x, sigma) =>
    {
        using var scope = NewDisposeScope();
        var t = levels.NearestTimestepOf(sigma);
        var scaled = t * LcmTimeScale;
        var size = scaled * scaled + LcmDeviation * LcmDeviation;
        var clean = x - predict(x / Math.Sqrt(sigma * sigma + 1), t) * sigma;
        return (clean * (scaled / Math.Sqrt(size)) + x * (LcmDeviation * LcmDeviation / size)).MoveToOuterDisposeScope();
    };
}
