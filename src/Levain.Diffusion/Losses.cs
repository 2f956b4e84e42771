using static TorchSharp.torch;

namespace Levain.Diffusion;

/// <summary>How far a prediction is from its target, element by element, in fp32. All are differentiable; the caller's scope owns the result.</summary>
public static class Losses
{
    /// <summary>(x − y)².</summary>
    public static Tensor Squared(Tensor prediction, Tensor target) => nn.functional.mse_loss(prediction, target, nn.Reduction.None);

    /// <summary>|x − y|.</summary>
    public static Tensor Absolute(Tensor prediction, Tensor target) => nn.functional.l1_loss(prediction, target, nn.Reduction.None);

    /// <summary>Pseudo-Huber, 2c(√(d² + c²) − c): squared near 0, absolute far beyond c.</summary>
    /// <remarks>Khrapov et al. 2024, https://arxiv.org/abs/2403.16728.</remarks>
    /// <param name="prediction">[B, C, H, W].</param>
    /// <param name="target">The same shape.</param>
    /// <param name="threshold">c of each sample, [B].</param>
    public static Tensor PseudoHuber(Tensor prediction, Tensor target, Tensor threshold)
    {
        using var scope = NewDisposeScope();
        var c = threshold.view(-1, 1, 1, 1);
        return Bend(prediction, target, c).mul(c * 2).MoveToOuterDisposeScope();
    }

    /// <summary>As <see cref="PseudoHuber"/> without c in front, 2(√(d² + c²) − c): the slope far away is 2.</summary>
    public static Tensor SmoothAbsolute(Tensor prediction, Tensor target, Tensor threshold)
    {
        using var scope = NewDisposeScope();
        return Bend(prediction, target, threshold.view(-1, 1, 1, 1)).mul(2).MoveToOuterDisposeScope();
    }

    private static Tensor Bend(Tensor prediction, Tensor target, Tensor c) => (prediction - target).square().add(c.square()).sqrt().sub(c);

    /// <summary>c that falls exponentially from 1 at t = 0 to <paramref name="c"/> at the last timestep.</summary>
    public static double ExponentialThreshold(int timestep, int timesteps, double c) => Math.Exp(timestep * Math.Log(c) / timesteps);

    /// <summary>c that follows the noise level: near 1 where there is little noise, near <paramref name="c"/> where there is much.</summary>
    public static double NoiseThreshold(double alphaCumprod, double c) => (1 - c) / Math.Pow(1 + Math.Sqrt((1 - alphaCumprod) / alphaCumprod), 2) + c;
}
