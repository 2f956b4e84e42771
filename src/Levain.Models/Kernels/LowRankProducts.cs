using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>
/// Layers with a low-rank product beside them, y = op(x) + f·up·(down·x), and their way back, each in one or two rounds of the threads: on small
/// layers, handing an operation to libtorch and waiting for all threads costs more than its arithmetic. fp32, nothing is recorded.
/// </summary>
public static class LowRankProducts
{
    // Numbers of a pointwise weight up to which every thread reads all of it.
    private const long SmallWeight = 1 << 17;

    /// <summary>Whether a layer's pass belongs here.</summary>
    /// <param name="x">What it receives.</param>
    public static bool Suits(IAdaptableLayer layer, Tensor x) => OwnProducts.Suits(x) && layer.Weight.dtype == ScalarType.Float32 && layer.Weight.is_contiguous() && (layer.Shape.IsPointwise
        ? layer.Weight.numel() <= SmallWeight
        : layer.Shape.Kind == LayerKind.Conv2d && OwnProducts.SuitsLayer(x, layer.Shape, layer.Weight.numel() / layer.Shape.In) && OwnProducts.SuitsConvolution(x, layer.Weight, layer.Shape));

    /// <summary>The layer's output, and f·down·x, which the way back needs; the caller's scope owns both.</summary>
    /// <param name="x">[..., In] or [B, In, H, W].</param>
    /// <param name="withBias">Whether the layer's bias is added.</param>
    /// <param name="down">[r, In·k²], dense.</param>
    /// <param name="up">[Out, r], dense.</param>
    /// <param name="factor">f.</param>
    public static (Tensor Output, Tensor Inner) Forward(IAdaptableLayer layer, Tensor x, bool withBias, Tensor down, Tensor up, float factor)
    {
        var bias = withBias ? layer.Bias : null;
        return layer.Shape.IsPointwise ? LowRankPointwise.Forward(layer, x, bias, down, up, factor) : LowRankConvolution.Forward(layer.Weight, x, bias, down, up, factor);
    }

    /// <summary>Adds the factors' gradients; the input's is returned, null where it is not wanted. The caller's scope owns it.</summary>
    /// <param name="inner">What <see cref="Forward"/> gave as such.</param>
    /// <param name="gradient">Of the output.</param>
    /// <param name="work">The factors, and what is wanted.</param>
    public static Tensor? Backward(IAdaptableLayer layer, Tensor x, Tensor inner, Tensor gradient, LowRankGradients work) => layer.Shape.IsPointwise
        ? LowRankPointwise.Backward(layer, x, inner, gradient, work)
        : LowRankConvolution.Backward(layer.Weight, x, inner, gradient, work);
}

/// <summary>The factors of a low-rank product, and where their gradients go.</summary>
/// <param name="Down">[r, In·k²], dense.</param>
/// <param name="Up">[Out, r], dense.</param>
/// <param name="Factor">What the product is multiplied by.</param>
/// <param name="First">The first rank whose gradients are wanted.</param>
/// <param name="Count">How many of them.</param>
public sealed record LowRankGradients(Tensor Down, Tensor Up, float Factor, int First, int Count)
{
    /// <summary>Whether the input's gradient is wanted.</summary>
    public bool WantsInput { get; init; }

    /// <summary>[Count, In·k²], dense; the gradient is added to it. Null: none is wanted.</summary>
    public Tensor? DownGradient { get; init; }

    /// <summary>[Out, Count], likewise; its rows need not be dense.</summary>
    public Tensor? UpGradient { get; init; }

    internal void KeepAlive()
    {
        foreach (var tensor in (Tensor?[])[Down, Up, DownGradient, UpGradient]) GC.KeepAlive(tensor);
    }
}
