using static TorchSharp.torch;

namespace Levain.Diffusion;

/// <summary>Steps of DPM-Solver in λ = −ln σ, of first, second and third order. What the model says at a place is asked once, however many orders use it.</summary>
/// <remarks>Lu et al. 2022, https://arxiv.org/abs/2206.00927, algorithms 1 and 2 in the variables of Karras et al. 2022. Levels are fp32 as in k-diffusion.</remarks>
internal sealed class DpmSolverSteps(Denoise denoise, Tensor x, float from)
{
    private readonly Dictionary<float, Tensor> asked = [];

    /// <summary>The clean latent as it is guessed at the start.</summary>
    public Tensor Denoised => x - Start * Sigma(from);

    private Tensor Start => Noise(0, () => x, from);

    /// <summary>Straight to <paramref name="to"/>.</summary>
    public Tensor First(float to) => x - Start * (Sigma(to) * Grown(to - from));

    /// <summary>With the slope at the share <paramref name="r1"/> of the way.</summary>
    public Tensor Second(float to, float r1)
    {
        var h = to - from;
        var bend = At(r1, h) - Start;
        return x - Start * (Sigma(to) * Grown(h)) - bend * (Sigma(to) / (2 * r1) * Grown(h));
    }

    /// <summary>With the slopes at a third and two thirds of the way.</summary>
    public Tensor Third(float to)
    {
        const float r1 = 1 / 3f, r2 = 2 / 3f;
        var h = to - from;
        var first = At(r1, h) - Start;
        var second = Noise(r2, () => x - Start * (Sigma(from + r2 * h) * Grown(r2 * h))
            - first * (Sigma(from + r2 * h) * (r2 / r1) * (Grown(r2 * h) / (r2 * h) - 1)), from + r2 * h);
        return x - Start * (Sigma(to) * Grown(h)) - (second - Start) * (Sigma(to) / r2 * (Grown(h) / h - 1));
    }

    private Tensor At(float share, float h) =>
        Noise(share, () => x - Start * (Sigma(from + share * h) * Grown(share * h)), from + share * h);

    private Tensor Noise(float share, Func<Tensor> place, float lambda)
    {
        if (asked.TryGetValue(share, out var known)) return known;
        var at = place();
        return asked[share] = (at - denoise(at, Sigma(lambda))) / Sigma(lambda);
    }

    private static float Sigma(float lambda) => MathF.Exp(-lambda);

    private static float Grown(float h) => (float)(Math.Exp(h) - 1);
}
