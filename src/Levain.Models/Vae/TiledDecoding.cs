using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>A decoder's upper levels in tiles that give the whole picture's numbers, but for the rounding of sums.</summary>
/// <remarks>
/// One resnet after another: its input lies there whole, its output is put together from tiles, so that all that is large at once is one tile's work. Convolutions reach three cells at
/// most, which tiles overlap by. Group norms look at everything: the first one's statistics are taken from the input, the second one's from a pass over all tiles that only measures.
/// It computes twice what decoding whole does, and keeps beside a tile two maps of the last level: 1 KB a pixel in fp32 with SD 1's widths. At 768 px in tiles of 256 px it took 1.5 GB
/// where decoding whole takes 4.3 GB.
/// </remarks>
internal sealed class TiledDecoding(VaeDecoder decoder, long groups, long tile, bool wrapsRows, bool wrapsColumns)
{
    private const long Overlap = 2, Cell = Core.LatentSize.CellPixels;

    private Place at;          // of the tile at work

    /// <summary>A tile within what is cut out for it, in cells of the input.</summary>
    private readonly record struct Place(long Top, long Left, long Height, long Width, long Rows);

    /// <param name="middle">The lowest level's map of the whole picture, [1, C, H, W].</param>
    /// <returns>[1, 3, 8·H, 8·W], fp32, on the CPU; the caller's scope owns it.</returns>
    public Tensor Decode(Tensor middle)
    {
        using var scope = NewDisposeScope();
        var (x, side) = (middle, tile);
        foreach (var stage in decoder.Stages)
        {
            var larger = Stage(stage, x, side);
            if (!ReferenceEquals(x, middle)) x.Dispose();
            x = larger;
            if (stage.Enlarge is not null) side *= 2;
        }
        using var sums = new NormSums(decoder.OutputNorm, groups);
        EachTile(x, side, part => sums.Add(Inner(part)));
        sums.Give();
        var picture = zeros(1, 3, middle.shape[2] * Cell, middle.shape[3] * Cell);
        EachTile(x, side, (part, top, left) => Put(picture, Inner(decoder.Output(part)), top, left));
        return picture.MoveToOuterDisposeScope();
    }

    private Tensor Stage(DecoderStage stage, Tensor x, long side)
    {
        using var scope = NewDisposeScope();
        using var first = new NormSums(stage.Norm("norm1"), groups);
        using var second = new NormSums(stage.Norm("norm2"), groups);
        EachTile(x, side, part => first.Add(Inner(stage.Larger(part))));
        first.Give();
        using (second.Watch(Inner)) EachTile(x, side, part => stage.Run(part));
        second.Give();

        var scale = stage.Enlarge is null ? 1 : 2;
        var whole = empty([1, stage.Channels, x.shape[2] * scale, x.shape[3] * scale], x.dtype, x.device);
        EachTile(x, side, (part, top, left) => Put(whole, Inner(stage.Run(part)), top * scale, left * scale));
        return whole.MoveToOuterDisposeScope();
    }

    private void EachTile(Tensor x, long side, Action<Tensor> work) => EachTile(x, side, (part, _, _) => work(part));

    private void EachTile(Tensor x, long side, Action<Tensor, long, long> work)
    {
        using var scope = NewDisposeScope();
        var (height, width, rows, columns) = (x.shape[2], x.shape[3], wrapsRows ? Overlap : 0, wrapsColumns ? Overlap : 0);
        var edged = rows + columns == 0 ? x : functional.pad(x, (columns, columns, rows, rows), TorchSharp.PaddingModes.Circular);
        for (var top = 0L; top < height; top += side)
        {
            for (var left = 0L; left < width; left += side)
            {
                using var each = NewDisposeScope();
                var (bottom, right) = (Math.Min(top + side, height), Math.Min(left + side, width));
                // in cells of the edged map
                var (fromY, fromX) = (Math.Max(top + rows - Overlap, 0), Math.Max(left + columns - Overlap, 0));
                var (toY, toX) = (Math.Min(bottom + rows + Overlap, edged.shape[2]), Math.Min(right + columns + Overlap, edged.shape[3]));
                at = new(top + rows - fromY, left + columns - fromX, bottom - top, right - left, toY - fromY);
                work(edged.narrow(2, fromY, toY - fromY).narrow(3, fromX, toX - fromX).contiguous(), top, left);
            }
        }
    }

    /// <summary>The tile alone, without what surrounds it, at whatever scale.</summary>
    private Tensor Inner(Tensor map)
    {
        var scale = map.shape[2] / at.Rows;
        return map.narrow(2, at.Top * scale, at.Height * scale).narrow(3, at.Left * scale, at.Width * scale);
    }

    private static void Put(Tensor whole, Tensor part, long top, long left) => whole.narrow(2, top, part.shape[2]).narrow(3, left, part.shape[3]).copy_(part);
}
