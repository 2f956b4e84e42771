using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class Samplers
{
    private const int LmsOrder = 4;

    // Gauss and Legendre's two points integrate cubics exactly.
    private static readonly double[] GaussPoints = [-1 / Math.Sqrt(3), 1 / Math.Sqrt(3)];

    /// <summary>A polynomial through the last four slopes.</summary>
    public static Sampler Lms { get; } = new("LMS", "A polynomial through the last four slopes", KDiffusion, WalkLms) { Aliases = ["k_lms"] };

    private static Tensor WalkLms(SamplerWalk walk, Tensor x)
    {
        using var scope = NewDisposeScope();
        var slopes = new List<Tensor>();                                 // newest last
        for (var i = 0; i + 1 < walk.Sigmas.Count; i++)
        {
            using var step = NewDisposeScope();
            var denoised = walk.Denoise(x, walk.Sigmas[i]);
            walk.Report(i, x, denoised);
            slopes.Add(Slope(x, walk.Sigmas[i], denoised).MoveToOuterDisposeScope());
            if (slopes.Count > LmsOrder) slopes.RemoveAt(0);

            var next = x;
            for (var j = 0; j < slopes.Count; j++) next = next + slopes[^(j + 1)] * LmsIntegral(walk.Sigmas, i, j, slopes.Count);
            x = next.MoveToOuterDisposeScope();
        }
        return x.MoveToOuterDisposeScope();
    }

    /// <summary>∫ over the step from level i of the Lagrange polynomial that is 1 at level i − j and 0 at the other levels in use.</summary>
    internal static double LmsIntegral(IReadOnlyList<double> sigmas, int i, int j, int order)
    {
        var (middle, half) = ((sigmas[i + 1] + sigmas[i]) / 2, (sigmas[i + 1] - sigmas[i]) / 2);
        return half * GaussPoints.Sum(point => Enumerable.Range(0, order).Where(k => k != j)
            .Aggregate(1.0, (product, k) => product * (middle + half * point - sigmas[i - k]) / (sigmas[i - j] - sigmas[i - k])));
    }
}
