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
    /// <param name="downGradient">[count, In·k²], dense; receives the gradient of <paramref name="count"/> ranks from <paramref name="first"/> on; null: none is wanted.</param>
    /// <param name="upGradient">[Out, count], likewise; its rows need not be dense.</param>
    public static Tensor? Backward(IAdaptableLayer layer, Tensor x, Tensor inner, Tensor gradient, Tensor down, Tensor up, float factor, bool wantsInput, Tensor? downGradient, Tensor? upGradient, int first, int count)
    {
        var work = new LowRankGradients(down, up, factor, wantsInput, downGradient, upGradient, first, count);
        return layer.Shape.IsPointwise ? LowRankPointwise.Backward(layer, x, inner, gradient, work) : LowRankConvolution.Backward(layer.Weight, x, inner, gradient, work);
    }
}

/// <summary>The factors, and where their gradients go.</summary>
internal sealed record LowRankGradients(Tensor Down, Tensor Up, float Factor, bool WantsInput, Tensor? DownGradient, Tensor? UpGradient, int First, int Count)
{
    public void KeepAlive()
    {
        foreach (var tensor in (Tensor?[])[Down, Up, DownGradient, UpGradient]) GC.KeepAlive(tensor);
    }
}
