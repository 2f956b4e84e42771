using static TorchSharp.torch;

namespace Levain.Diffusion;

public static partial class Samplers
{
    private const int IpndmOrder = 4;

    private static Uri DiffSampler => new("https://github.com/zju-pi/diff-sampler");

    /// <summary>Adams and Bashforth's rule over the last four slopes, as if all steps were equally long.</summary>
    /// <remarks>Zhang and Chen 2022, https://arxiv.org/abs/2204.13902; Forge has it.</remarks>
    public static Sampler Ipndm { get; } = new("IPNDM", "The last four slopes with fixed weights", DiffSampler,
        (walk, x) => WalkSlopes(walk, x, IpndmOrder, (i, order) => IpndmWeights(walk.Sigmas[i + 1] - walk.Sigmas[i], order)))
    {
        Aliases = ["k_ipndm"],
    };

    private static double[] IpndmWeights(double length, int order) =>
        order == 1 ? [length] : [.. AdamsBashforth[order - 2].Select(weight => weight * length)];

    /// <summary>Walks by a weighted sum of the last slopes.</summary>
    /// <param name="most">Slopes used at most, unless the user says less.</param>
    /// <param name="weights">Weights of a step, the newest slope's first: of the step and how many slopes there are.</param>
    private static Tensor WalkSlopes(SamplerWalk walk, Tensor x, int most, Func<int, int, double[]> weights)
    {
        using var scope = NewDisposeScope();
        most = walk.Options.MaxOrder ?? most;
        var slopes = new List<Tensor>();                                 // newest first
        for (var i = 0; i + 1 < walk.Sigmas.Count; i++)
        {
            using var step = NewDisposeScope();
            var denoised = walk.Denoise(x, walk.Sigmas[i]);
            walk.Report(i, x, denoised);
            slopes.Insert(0, Slope(x, walk.Sigmas[i], denoised).MoveToOuterDisposeScope());
            if (slopes.Count > most) slopes.RemoveAt(most);
            x = slopes.Zip(weights(i, slopes.Count), (slope, weight) => slope * weight).Aggregate(x, (sum, term) => sum + term).MoveToOuterDisposeScope();
        }
        return x.MoveToOuterDisposeScope();
    }
}
