using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>A decoder's upper levels in tiles that give the whole picture's numbers, but for the rounding of sums.</summary>
/// <remarks>
/// One resnet after another: its input lies there whole, its output is put together from tiles, so that all that is large at once is one tile's work.
/// It computes twice what decoding whole does, and keeps beside a tile two maps of the last level: 1 KB a pixel in fp32 with SD 1's widths. At 768 px in tiles of 256 px it took 1.5 GB
/// where decoding whole takes 4.3 GB. Sparing, it keeps maps of half the picture's side at most, in three times the time of decoding whole.
/// </remarks>
internal sealed class TiledDecoding(VaeDecoder decoder, TiledStages tiles)
{
    private const long Cell = Core.LatentSize.CellPixels;

    /// <param name="middle">The lowest level's map of the whole picture, [1, C, H, W].</param>
    /// <param name="tile">Side of a tile in latent cells.</param>
    /// <param name="spares">Whether maps of the last level are computed anew whenever they are needed.</param>
    /// <returns>[1, 3, 8·H, 8·W], fp32, on the CPU; the caller's scope owns it.</returns>
    public Tensor Decode(Tensor middle, long tile, bool spares)
    {
        using var scope = NewDisposeScope();
        var stages = decoder.Stages.ToList();
        var last = spares ? stages.FindLastIndex(stage => stage.Enlarges) : stages.Count;
        var (x, side) = (middle, tile);
        foreach (var stage in stages[..last])
        {
            var scale = stage.Enlarges ? 2 : 1;
            var larger = empty([1, stage.Channels, x.shape[2] * scale, x.shape[3] * scale], x.dtype, x.device);
            tiles.Fill(larger, [stage], x, side, new());
            if (!ReferenceEquals(x, middle)) x.Dispose();
            (x, side) = (larger, side * scale);
        }
        var picture = zeros(1, 3, middle.shape[2] * Cell, middle.shape[3] * Cell);
        tiles.Fill(picture, stages[last..], x, side, new() { Norm = decoder.OutputNorm, Run = decoder.Output });
        return picture.MoveToOuterDisposeScope();
    }
}
