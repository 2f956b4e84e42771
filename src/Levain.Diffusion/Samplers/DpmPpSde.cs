using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class Samplers
{
    /// <summary>DPM-Solver++ of second order within a step, for the stochastic equation.</summary>
    /// <remarks>k-diffusion's <c>sample_dpmpp_sde</c>, after Lu et al. 2022, https://arxiv.org/abs/2211.01095.</remarks>
    public static Sampler DpmPpSde { get; } = new("DPM++ SDE", "Two model calls a step, Brownian noise", KDiffusion, WalkDpmPpSde)
    {
        Aliases = ["k_dpmpp_sde"],
        Eta = 1,
        ScalesNoise = true,
        Schedule = SigmaSchedules.Karras,
        SecondOrder = true,
        Brownian = true,
    };

    private static Tensor WalkDpmPpSde(SamplerWalk walk, Tensor x)
    {
        using var scope = NewDisposeScope();
        var (eta, scale) = (walk.Options.Eta ?? 1, walk.Options.NoiseScale);
        var (levels, middles) = ThroughLogarithms(walk.Sigmas);
        for (var i = 0; i + 1 < walk.Sigmas.Count; i++)
        {
            using var step = NewDisposeScope();
            var (from, to) = (walk.Sigmas[i], walk.Sigmas[i + 1]);
            var denoised = walk.Denoise(x, from);
            walk.Report(i, x, denoised);
            if (to == 0)
            {
                x = (x + Slope(x, from, denoised) * (to - from)).MoveToOuterDisposeScope();
                continue;
            }
            var middle = middles[i];
            var (down, up) = Ancestral(from, middle, eta);
            var halfway = x * (down / from) + denoised * (1 - down / from) + walk.Noise(levels[i], middle) * (scale * up);
            var second = walk.Denoise(halfway, middle);
            (down, up) = Ancestral(from, to, eta);
            x = (x * (down / from) + second * (1 - down / from) + walk.Noise(levels[i], levels[i + 1]) * (scale * up)).MoveToOuterDisposeScope();
        }
        return x.MoveToOuterDisposeScope();
    }

    /// <summary>Levels and the (logarithmic) middles between them as the reference rounds them on the way through fp32 logarithms: a Brownian motion is asked at these very places, and a millionth beside them it is elsewhere.</summary>
    private static (float[] Levels, float[] Middles) ThroughLogarithms(IReadOnlyList<double> sigmas)
    {
        using var scope = NewDisposeScope();
        // One number at a time: libtorch rounds numbers of a longer tensor by another routine.
        List<Tensor> lambdas = [.. sigmas.Select(sigma => tensor((float)sigma).log().neg())];
        return ([.. lambdas.Select(Level)], [.. lambdas.Zip(lambdas.Skip(1), (from, to) => Level(from + (to - from) * 0.5))]);

        static float Level(Tensor lambda) => lambda.neg().exp().item<float>();
    }
}
