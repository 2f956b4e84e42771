namespace Levain.Diffusion;

public static partial class Samplers
{
    /// <summary><see cref="Ipndm"/> with weights that follow the steps' lengths.</summary>
    /// <remarks>Zhang and Chen 2022, https://arxiv.org/abs/2204.13902, in diff-sampler's form, whose third and fourth order differ a little from the textbook's.</remarks>
    public static Sampler IpndmV { get; } = new("IPNDM_V", "The last four slopes, weighed by the steps' lengths", DiffSampler,
        (walk, x) => WalkSlopes(walk, x, IpndmOrder, (i, order) => IpndmVWeights(walk.Sigmas, i, order)))
    {
        Aliases = ["k_ipndm_v"],
    };

    private static double[] IpndmVWeights(IReadOnlyList<double> sigmas, int i, int order)
    {
        var h = sigmas[i + 1] - sigmas[i];
        if (order == 1) return [h];
        var h1 = sigmas[i] - sigmas[i - 1];
        var ratio = h / h1;
        double[] weights = [(2 + ratio) / 2, -ratio / 2, 0, 0];
        if (order >= 3)
        {
            var h2 = sigmas[i - 1] - sigmas[i - 2];
            var third = (1 - h / (3 * (h + h1)) * (h * (h + h1)) / (h1 * (h1 + h2))) / 2;
            weights[0] += third;
            weights[1] -= (1 + h1 / h2) * third;
            weights[2] += third * h1 / h2;
            if (order == 4)
            {
                var h3 = sigmas[i - 2] - sigmas[i - 3];
                var reach = h1 * (h1 + h2) / (h2 * (h2 + h3));
                var fourth = ((1 - h / (3 * (h + h1))) / 2 + (1 - h / (2 * (h + h1))) * h / (6 * (h + h1 + h2)))
                    * (h * (h + h1) * (h + h1 + h2)) / (h1 * (h1 + h2) * (h1 + h2 + h3));
                weights[0] += fourth;
                weights[1] -= (1 + h1 / h2 + reach) * fourth;
                weights[2] += (h1 / h2 + reach * (1 + h2 / h3)) * fourth;
                weights[3] -= fourth * reach * h1 / h2;
            }
        }
        return [.. weights.Take(order).Select(weight => weight * h)];
    }
}
