using Levain.Core;
using static TorchSharp.torch;

namespace Levain.Diffusion;

/// <summary>Every sampler. A file in this folder adds one.</summary>
[Catalog]
public static partial class Samplers
{
    private static Uri KDiffusion => new("https://github.com/crowsonkb/k-diffusion");

    /// <summary>All samplers, in name order of their properties.</summary>
    public static partial IReadOnlyList<Sampler> All { get; }

    /// <summary>The noise to come down to, and to add again, so that the level ends at <paramref name="to"/>.</summary>
    internal static (double Down, double Up) Ancestral(double from, double to, double eta)
    {
        if (eta == 0) return (to, 0);
        var up = Math.Min(to, eta * Math.Sqrt(to * to * (from * from - to * to) / (from * from)));
        return (Math.Sqrt(Math.Max(to * to - up * up, 0)), up);
    }

    /// <summary>dx/dσ, Karras et al. 2022, equation 3.</summary>
    internal static Tensor Slope(Tensor x, double sigma, Tensor denoised) => (x - denoised) / sigma;

    /// <summary>Raises the noise a little before a step, where the user asks for churn (Karras et al. 2022, algorithm 2). A tensor is drawn either way.</summary>
    internal static (Tensor X, double Sigma) Churned(SamplerWalk walk, Tensor x, int step)
    {
        var (sigma, options) = (walk.Sigmas[step], walk.Options);
        var noise = walk.Noise(sigma, walk.Sigmas[step + 1]);
        var share = sigma >= options.ChurnMin && sigma <= options.ChurnMax ? Math.Min(options.Churn / (walk.Sigmas.Count - 1), Math.Sqrt(2) - 1) : 0;
        if (share <= 0) return (x, sigma);
        var raised = sigma * (1 + share);
        return (x + noise * (options.NoiseScale * Math.Sqrt(raised * raised - sigma * sigma)), raised);
    }
}
