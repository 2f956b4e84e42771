using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>Low-rank products in their several forms.</summary>
internal static class LowRank
{
    /// <summary>up·down on what a layer received: a linear layer twice, or a convolution, a core in the Tucker form, and a 1×1 convolution. Not scaled.</summary>
    /// <param name="layer">The layer: kernel, stride and padding.</param>
    /// <param name="x">What it received.</param>
    /// <param name="down">[r, In(, k, k)].</param>
    /// <param name="mid">[r, r, k, k], or null.</param>
    /// <param name="up">[Out, r(, 1, 1)].</param>
    /// <param name="masked">What happens to the inner activations.</param>
    public static Tensor OnActivations(IAdaptableLayer layer, Tensor x, Tensor down, Tensor? mid, Tensor up, Func<Tensor, Tensor> masked)
    {
        using var scope = NewDisposeScope();
        var (a, b) = (down.to_type(x.dtype), up.to_type(x.dtype));
        if (layer.Shape.Kind == LayerKind.Linear) return nn.functional.linear(masked(nn.functional.linear(x, a)), b).MoveToOuterDisposeScope();
        (b, var shape) = (b.flatten(1).unsqueeze(-1).unsqueeze(-1), layer.Shape);
        long[] stride = [shape.Stride.H, shape.Stride.W], padding = [shape.Padding.H, shape.Padding.W];
        var inner = mid is null
            ? nn.functional.conv2d(x, a.dim() == 4 ? a : a.unsqueeze(-1).unsqueeze(-1), strides: stride, padding: padding)
            : nn.functional.conv2d(nn.functional.conv2d(x, a), mid.to_type(x.dtype), strides: stride, padding: padding);
        return nn.functional.conv2d(masked(inner), b).MoveToOuterDisposeScope();
    }

    /// <summary>Σ core[i, j, ·]·left[p, i]·right[q, j], the Tucker form of a kernel: [P, Q, k, k].</summary>
    /// <param name="core">[r, r, k, k].</param>
    /// <param name="left">[P, r].</param>
    /// <param name="right">[Q, r].</param>
    public static Tensor Tucker(Tensor core, Tensor left, Tensor right) => einsum("ijkl,pi,qj->pqkl", core, left, right);

    /// <summary>‖up·down‖ (Frobenius) without making the product: ‖up·down‖² = Σ (upᵀ·up) ∘ (down·downᵀ).</summary>
    public static double Norm(Tensor up, Tensor down)
    {
        using var scope = NewDisposeScope();
        var (a, b) = (down.flatten(1), up.flatten(1));
        return Math.Sqrt(Math.Max(0, b.t().mm(b).mul_(a.mm(a.t())).sum(ScalarType.Float64).item<double>()));
    }
}
