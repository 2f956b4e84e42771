using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>Products with the narrow factors of a low-rank matrix, by our own kernels where they can: libtorch's run at a third of their speed.</summary>
internal static class FactorProducts
{
    private const long Worthwhile = 1 << 18;      // multiplications from which on ours are the faster ones
    private const long Large = 1 << 17;     // elements from which on the order of a product's factors matters to libtorch

    /// <summary>scale·x·factor, [N, r] of [N, C] and [C, r]; the caller's scope owns it.</summary>
    public static Tensor Of(Tensor x, Tensor factor, float scale)
    {
        // libtorch reads a wide factor faster than a narrow one.
        var product = Suits(x, factor.size(1)) ? OwnProducts.Of(x, factor) : x.mm(x.numel() >= Large && factor.stride(0) != 1 ? factor.t().contiguous().t() : factor);
        return scale == 1 ? product : product.mul_(scale);
    }

    /// <summary>product ← left·right, in fp32 whatever the activations are; its content before counts for nothing.</summary>
    public static void Into(Tensor product, Tensor left, Tensor right)
    {
        if (Suits(left, right.size(1))) OwnProducts.Into(product, left, right);
        else if (left.dtype == product.dtype) product.addmm_(left, right, beta: 0);
        else product.copy_(left.mm(right));
    }

    /// <summary>sum += inner·factor, [N, C] of [N, r] and [r, C].</summary>
    public static void Add(Tensor sum, Tensor inner, Tensor factor)
    {
        if (Suits(sum, inner.size(1))) OwnProducts.Add(sum, inner, factor);
        else sum.addmm_(inner, factor);
    }

    /// <summary>gradient += left·right, in fp32 whatever the activations are.</summary>
    public static void AddGradient(Tensor gradient, Tensor left, Tensor right)
    {
        if (Suits(left, right.size(1)) && gradient.dtype == ScalarType.Float32) OwnProducts.Add(gradient, left, right);
        // libtorch forms a narrow matrix times a wide one faster than its transpose.
        else if (left.numel() >= Large && left.size(0) > right.size(1)) gradient.add_(right.t().mm(left.t()).t());
        else if (left.dtype == ScalarType.Float32) gradient.addmm_(left, right);
        else gradient.add_(left.mm(right));
    }

    private static bool Suits(Tensor wide, long rank) => OwnProducts.Suits(wide) && wide.numel() * rank >= Worthwhile;
}
