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
        var norm = (double)Length(gradient).item<float>();
        // A norm that is not a number is left for the run to diagnose.
        if (limit > 0 && limit / (norm + Least) < 1) gradient.mul_(limit / (norm + Least));
        return norm;
    }

    // Piece by piece: one sum of millions of squares in fp32 loses a ten-thousandth.
    private static Tensor Length(Tensor gradient)
    {
        const long Piece = 4096;
        var whole = gradient.numel() / Piece * Piece;
        if (whole == 0) return gradient.norm();
        var pieces = linalg.vector_norm(gradient.narrow(0, 0, whole).view(-1, Piece), 2, [1]);
        return cat([pieces, gradient.narrow(0, whole, gradient.numel() - whole).norm().view(1)]).norm();
    }
}
