namespace Levain.Diffusion;

/// <summary>Factors on a sample's loss by its signal-to-noise ratio, snr = ᾱ ÷ (1 − ᾱ).</summary>
public static class LossWeights
{
    // kohya's limit, so that the ratio of the noise-free end stays finite.
    private const double MostSnr = 1000;

    /// <summary>snr of an ᾱ, rounded as kohya rounds it: weights of 300 at the noisiest timesteps bring the rounding into a loss's seventh digit.</summary>
    public static double Snr(float alphaCumprod)
    {
        var root = MathF.Sqrt(alphaCumprod) / MathF.Sqrt(1 - alphaCumprod);
        return root * root;
    }

    /// <summary>Min-SNR-γ: min(snr, γ) ÷ snr for noise, ÷ (snr + 1) for velocity.</summary>
    /// <remarks>Hang et al. 2023, https://arxiv.org/abs/2303.09556, section 3.4.</remarks>
    public static double MinSnr(double snr, double gamma, bool velocity) => Math.Min(snr, gamma) / (velocity ? snr + 1 : snr);

    /// <summary>What makes a velocity loss weigh as a noise loss does: snr ÷ (snr + 1).</summary>
    public static double VelocityLikeNoise(double snr) => Math.Min(snr, MostSnr) / (Math.Min(snr, MostSnr) + 1);

    /// <summary>What makes a noise loss weigh more like a velocity loss: 1 + w(snr + 1) ÷ snr.</summary>
    public static double NoiseLikeVelocity(double snr, double weight) => 1 + weight / VelocityLikeNoise(snr);

    /// <summary>Debiased estimation: 1 ÷ √snr for noise, 1 ÷ (snr + 1) for velocity.</summary>
    /// <remarks>Yu et al. 2023, https://arxiv.org/abs/2310.08442; snr is limited to 1000 as in kohya.</remarks>
    public static double Debiased(double snr, bool velocity)
    {
        snr = Math.Min(snr, MostSnr);
        return velocity ? 1 / (snr + 1) : 1 / Math.Sqrt(snr);
    }
}
