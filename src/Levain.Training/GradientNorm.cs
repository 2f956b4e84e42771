using Levain.Training.Elements;
using TorchSharp;
using static TorchSharp.torch;

namespace Levain.Training;

/// <summary>Length of a gradient, and its limit.</summary>
public static class GradientNorm
{
    // PyTorch's clip_grad_norm_ adds it, so that a gradient of zero stays zero.
    private const double Least = 1e-6;

    /// <summary>Scales a flat gradient down, in place, where its L2 norm is above <paramref name="limit"/>; 0 lets all pass.</summary>
    /// <returns>The norm before.</returns>
    public static double Clip(Tensor gradient, double limit)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        // Squares are added up in double: torch's own norm of a long fp32 tensor is off by 1e-4 at two million elements.
        var norm = Math.Sqrt(ElementLoop.Run(new Squares(), gradient, gradient, [], [(0, gradient.numel())], gradient.device_type is DeviceType.CPU).First);
        // A norm that is not a number is left for the run to diagnose.
        if (limit > 0 && limit / (norm + Least) < 1) gradient.mul_(limit / (norm + Least));
        return norm;
    }
}
