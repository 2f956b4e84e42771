using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class Samplers
{
    /// <summary>DPM-Solver++ of second order over several steps, for the stochastic equation.</summary>
    /// <remarks>k-diffusion's <c>sample_dpmpp_2m_sde</c> with its midpoint correction, after Lu et al. 2022, https://arxiv.org/abs/2211.01095.</remarks>
    public static Sampler DpmPp2MSde { get; } = new("DPM++ 2M SDE", "DPM++ 2M with Brownian noise", KDiffusion,
        (walk, x) => WalkDpmPp2MSde(walk, x, (share, _) => share / 2))
    {
        Aliases = ["k_dpmpp_2m_sde"],
        Eta = 1,
        ScalesNoise = true,
        Schedule = SigmaSchedules.Exponential,
        Brownian = true,
    };

    /// <param name="correction">What the change of the guess over the last step is multiplied by: of 1 − e^(−h(1+η)) and h(1+η).</param>
    private static Tensor WalkDpmPp2MSde(SamplerWalk walk, Tensor x, Func<double, double, double> correction)
    {
        using var scope = NewDisposeScope();
        var eta = walk.Options.Eta ?? 1;
        Tensor? before = null;
        var hBefore = 0.0;
        for (var i = 0; i + 1 < walk.Sigmas.Count; i++)
        {
            using var step = NewDisposeScope();
            var (from, to) = (walk.Sigmas[i], walk.Sigmas[i + 1]);
            var denoised = walk.Denoise(x, from);
            walk.Report(i, x, denoised);
            var h = Math.Log(from / to);                                 // infinite at the end
            var next = denoised;
            if (to > 0)
            {
                var share = 1 - Math.Exp(-h * (1 + eta));
                next = x * (to / from * Math.Exp(-eta * h)) + denoised * share;
                if (before is not null) next = next + (denoised - before) * (correction(share, h * (1 + eta)) * h / hBefore);
                if (eta > 0) next = next + walk.Noise(from, to) * SdeNoise(to, eta * h, walk.Options.NoiseScale);
            }
            x = next.MoveToOuterDisposeScope();
            (before, hBefore) = (denoised.alias().MoveToOuterDisposeScope(), h);
        }
        return x.MoveToOuterDisposeScope();
    }

    /// <summary>Deviation of the noise a stochastic solver adds on its way to level <paramref name="to"/>: σ'·√(1 − e^(−2ηh)).</summary>
    private static double SdeNoise(double to, double etaH, double scale) => to * Math.Sqrt(1 - Math.Exp(-2 * etaH)) * scale;
}
