using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>The order in memory of what a layer takes and gives: tokens, or maps channel by channel or pixel by pixel.</summary>
public static class LayerOrder
{
    /// <summary>The tensor without gaps in memory, a map's pixels in either order.</summary>
    public static Tensor Dense(LayerShape shape, Tensor tensor) =>
        tensor.is_contiguous() || (shape.Kind == LayerKind.Conv2d && MapOrder.IsPixelsFirst(tensor)) ? tensor : tensor.contiguous();

    /// <summary>A tensor like <paramref name="x"/> in memory order, with <paramref name="channels"/> channels. Not filled.</summary>
    public static Tensor EmptyLike(LayerShape shape, Tensor x, long channels)
    {
        if (shape.Kind == LayerKind.Linear) return empty([.. x.shape[..^1], channels], x.dtype, x.device);
        var (maps, height, width) = (x.size(0), x.size(2), x.size(3));
        return !x.is_contiguous() && MapOrder.IsPixelsFirst(x)
            ? empty([maps, height, width, channels], x.dtype, x.device).permute(0, 3, 1, 2)
            : empty([maps, channels, height, width], x.dtype, x.device);
    }
}
