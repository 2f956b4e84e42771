using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>Pictures whose edges join: while this is alive, convolutions see the opposite edge of their map beyond its own in place of zeros.</summary>
/// <remarks>The webui's <c>Tiling</c>: circular padding of every convolution that pads. A map is widened by two cells a side before the layer and cut back after it, so that adapters on the layer see the same.</remarks>
public sealed class Seamless : IDisposable
{
    private readonly List<Action> undo = [];

    /// <summary>Begins it for parts of a model.</summary>
    /// <param name="parts">Modules whose convolutions are changed: U-Net and autoencoder.</param>
    /// <param name="acrossWidth">Whether left and right edges join.</param>
    /// <param name="acrossHeight">Whether upper and lower edges join.</param>
    public Seamless(IReadOnlyList<nn.Module> parts, bool acrossWidth = true, bool acrossHeight = true)
    {
        foreach (var vae in parts.OfType<Vae>())
        {
            vae.Edges = (acrossWidth, acrossHeight);
            undo.Add(() => vae.Edges = default);
        }
        foreach (var layer in parts.SelectMany(part => part.modules()).OfType<Conv2dLayer>().Where(layer => layer.Shape.Padding.H > 0))
        {
            // Two cells, not one: a stride of 2 then still begins at an even cell.
            var (rows, columns) = (acrossHeight ? 2 * layer.Shape.Padding.H : 0, acrossWidth ? 2 * layer.Shape.Padding.W : 0);
            var before = layer.register_forward_pre_hook((_, x) => Widened(x, rows, columns));
            var after = layer.register_forward_hook((_, x, y) => Cut(y, rows / layer.Shape.Stride.H, columns / layer.Shape.Stride.W));
            undo.Add(before.remove);
            undo.Add(after.remove);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => undo.ForEach(action => action());

    // The smallest maps of small pictures are narrower than what is added: they are gone round several times.
    private static Tensor Widened(Tensor x, long rows, long columns)
    {
        if (x.shape[2] >= rows && x.shape[3] >= columns) return functional.pad(x, (columns, columns, rows, rows), TorchSharp.PaddingModes.Circular);
        using var scope = NewDisposeScope();
        return Round(Round(x, 2, rows), 3, columns).MoveToOuterDisposeScope();

        static Tensor Round(Tensor map, int dimension, long more) =>
            map.index_select(dimension, arange(-more, map.shape[dimension] + more, ScalarType.Int64, map.device).remainder(map.shape[dimension]));
    }

    private static Tensor Cut(Tensor y, long rows, long columns)
    {
        using var scope = NewDisposeScope();
        return y.narrow(2, rows, y.shape[2] - 2 * rows).narrow(3, columns, y.shape[3] - 2 * columns).contiguous().MoveToOuterDisposeScope();
    }
}
