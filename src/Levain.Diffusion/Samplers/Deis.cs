namespace Levain.Diffusion;

public static partial class Samplers
{
    private const int DeisOrder = 3, DeisParts = 10000;

    // The variance-preserving time the weights are integrated in: EDM's range of levels and smallest time.
    private const double DeisMin = 0.002, DeisMax = 80, DeisFirstTime = 1e-3;

    /// <summary>A polynomial through the last slopes, integrated in the model's own time.</summary>
    /// <remarks>Zhang and Chen 2022, https://arxiv.org/abs/2204.13902, equation 15 (tAB); Forge has it.</remarks>
    public static Sampler Deis { get; } = new("DEIS", "A polynomial through the last three slopes", DiffSampler,
        (walk, x) => WalkSlopes(walk, x, DeisOrder, (i, order) => DeisWeights(walk.Sigmas, i, order)))
    {
        Aliases = ["k_deis"],
    };

    private static double[] DeisWeights(IReadOnlyList<double> sigmas, int i, int order)
    {
        if (order == 1 || sigmas[i + 1] <= 0) return [sigmas[i + 1] - sigmas[i]];
        var slope = 2 * (Math.Log(DeisMin * DeisMin + 1) / DeisFirstTime - Math.Log(DeisMax * DeisMax + 1)) / (DeisFirstTime - 1);
        var least = Math.Log(DeisMax * DeisMax + 1) - slope / 2;

        double[] known = [.. Enumerable.Range(0, order).Select(k => Time(sigmas[i - k]))];
        double from = known[0], to = Time(sigmas[i + 1]), part = (to - from) / DeisParts;
        var weights = new double[order];
        for (var n = 0; n < DeisParts; n++)
        {
            var t = from + (to - from) * n / (DeisParts - 1);
            var alpha = Math.Exp(-t * t * slope / 2 - t * least);
            var pull = (t * slope + least) / 2 / Math.Sqrt(alpha * (1 - alpha));             // dσ/dt
            for (var j = 0; j < order; j++)
            {
                var basis = pull;
                for (var k = 0; k < order; k++)
                    if (k != j) basis *= (t - known[k]) / (known[j] - known[k]);
                weights[j] += basis * part;
            }
        }
        return weights;

        double Time(double sigma) => (Math.Sqrt(least * least + 2 * slope * Math.Log(sigma * sigma + 1)) - least) / slope;
    }
}
