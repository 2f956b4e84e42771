using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>A pointwise layer's inputs and outputs as matrices: one row for each token, or for each pixel of a picture.</summary>
internal static class LayerMatrices
{
    /// <summary>Views of a dense tensor, [N, C] each, hence writable: one for tokens, one for each picture.</summary>
    public static Tensor[] Of(IAdaptableLayer layer, Tensor tensor)
    {
        if (layer.Shape.Kind == LayerKind.Linear) return [tensor.reshape(-1, tensor.size(-1))];
        return [.. Enumerable.Range(0, (int)tensor.size(0)).Select(i => tensor.select(0, i)).Select(picture =>
            PixelsFirst(tensor) ? picture.permute(1, 2, 0).reshape(-1, picture.size(0)) : picture.reshape(picture.size(0), -1).t())];
    }

    /// <summary>Rows of all pictures together, [N, C]: a view where memory allows.</summary>
    public static Tensor Rows(IAdaptableLayer layer, Tensor tensor) =>
        layer.Shape.Kind == LayerKind.Linear ? tensor.reshape(-1, tensor.size(-1)) : tensor.permute(0, 2, 3, 1).reshape(-1, tensor.size(1));

    /// <summary>Whether <see cref="Rows"/> is a view of a dense tensor, so that writing to it writes to the tensor.</summary>
    public static bool RowsAreView(IAdaptableLayer layer, Tensor tensor) => layer.Shape.Kind == LayerKind.Linear || PixelsFirst(tensor);

    /// <summary>Undoes <see cref="Rows"/>: [N, C] in the shape of <paramref name="like"/> but for its channels.</summary>
    public static Tensor FromRows(IAdaptableLayer layer, Tensor rows, Tensor like) => layer.Shape.Kind == LayerKind.Linear
        ? rows.reshape([.. like.shape[..^1], rows.size(1)])
        : rows.reshape(like.size(0), like.size(2), like.size(3), rows.size(1)).permute(0, 3, 1, 2);

    /// <summary>A vector over channels, shaped to be multiplied with the layer's inputs or outputs.</summary>
    public static Tensor OverChannels(IAdaptableLayer layer, Tensor vector) =>
        layer.Shape.Kind == LayerKind.Conv2d ? vector.reshape(-1, 1, 1) : vector.reshape(-1);

    // Whether a picture lies in memory pixel by pixel (channels last) without gaps.
    private static bool PixelsFirst(Tensor tensor) => tensor.permute(0, 2, 3, 1).is_contiguous();
}
