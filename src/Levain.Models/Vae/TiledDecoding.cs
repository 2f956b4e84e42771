using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>A decoder's upper levels in tiles that give the whole picture's numbers, but for the rounding of sums.</summary>
/// <remarks>
/// One resnet after another: its input lies there whole, its output is put together from tiles, so that all that is large at once is one tile's work. Convolutions reach three cells at
/// most, which tiles overlap by. Group norms look at everything: the first one's statistics are taken from the input, the second one's from a pass over all tiles that only measures.
/// It computes twice what decoding whole does, and keeps beside a tile two maps of the last level: 1 KB a pixel in fp32 with SD 1's widths. At 768 px in tiles of 256 px it took 1.5 GB
/// where decoding whole takes 4.3 GB. Sparing, it keeps maps of half the picture's side at most, in three times the time of decoding whole.
/// </remarks>
internal sealed class TiledDecoding(VaeDecoder decoder, long groups, long tile, bool wrapsRows, bool wrapsColumns)
{
    private const long Cell = Core.LatentSize.CellPixels, Reach = 2;         // of a resnet, in cells; of one that enlarges three of its output's

    private long overlap;
    private Place at;          // of the tile at work

    /// <summary>A tile within what is cut out for it, in cells of the input.</summary>
    private readonly record struct Place(long Top, long Left, long Height, long Width, long Rows);

    /// <param name="middle">The lowest level's map of the whole picture, [1, C, H, W].</param>
    /// <param name="spares">Whether maps of the last level are computed anew whenever they are needed.</param>
    /// <returns>[1, 3, 8·H, 8·W], fp32, on the CPU; the caller's scope owns it.</returns>
    public Tensor Decode(Tensor middle, bool spares)
    {
        using var scope = NewDisposeScope();
        var stages = decoder.Stages.ToList();
        var last = spares ? stages.FindLastIndex(stage => stage.Enlarge is not null) : stages.Count;
        var (x, side) = (middle, tile);
        foreach (var stage in stages[..last])
        {
            var larger = Stage([stage], x, side);
            if (!ReferenceEquals(x, middle)) x.Dispose();
            x = larger;
            if (stage.Enlarge is not null) side *= 2;
        }
        var picture = zeros(1, 3, middle.shape[2] * Cell, middle.shape[3] * Cell);
        Stage(stages[last..], x, side, picture);
        return picture.MoveToOuterDisposeScope();
    }

    /// <summary>Runs resnets over a map, norm by norm.</summary>
    /// <param name="picture">Filled with the colours of the result in place of a map; null for the map.</param>
    private Tensor Stage(IReadOnlyList<DecoderStage> stages, Tensor x, long side, Tensor? picture = null)
    {
        using var scope = NewDisposeScope();
        overlap = Reach * Math.Max(stages.Count, 1);
        var norms = new List<NormSums>();
        try
        {
            for (var i = 0; i < stages.Count; i++)
            {
                var (before, stage) = (i, stages[i]);
                Measure(stage.Norm("norm1"), (sums, part) => sums.Add(Inner(stage.Larger(Run(before, part)))));
                var second = Measure(stage.Norm("norm2"));
                using (second.Watch(Inner)) EachTile(x, side, part => Run(before + 1, part));
                second.Give();
            }
            if (picture is not null)
            {
                Measure(decoder.OutputNorm, (sums, part) => sums.Add(Inner(Run(stages.Count, part))));
                var up = picture.shape[2] / x.shape[2];
                EachTile(x, side, (part, top, left) => Put(picture, Inner(decoder.Output(Run(stages.Count, part))), top * up, left * up));
                return picture;
            }
            var scale = stages[0].Enlarge is null ? 1 : 2;
            var whole = empty([1, stages[^1].Channels, x.shape[2] * scale, x.shape[3] * scale], x.dtype, x.device);
            EachTile(x, side, (part, top, left) => Put(whole, Inner(Run(stages.Count, part)), top * scale, left * scale));
            return whole.MoveToOuterDisposeScope();
        }
        finally
        {
            norms.ForEach(sums => sums.Dispose());
        }

        Tensor Run(int count, Tensor part) => stages.Take(count).Aggregate(part, (map, stage) => stage.Run(map));

        NormSums Measure(GroupNormLayer norm, Action<NormSums, Tensor>? add = null)
        {
            var sums = new NormSums(norm, groups);
            norms.Add(sums);
            if (add is null) return sums;
            EachTile(x, side, part => add(sums, part));
            sums.Give();
            return sums;
        }
    }

    private void EachTile(Tensor x, long side, Action<Tensor> work) => EachTile(x, side, (part, _, _) => work(part));

    private void EachTile(Tensor x, long side, Action<Tensor, long, long> work)
    {
        using var scope = NewDisposeScope();
        var (height, width, rows, columns) = (x.shape[2], x.shape[3], wrapsRows ? overlap : 0, wrapsColumns ? overlap : 0);
        var edged = rows + columns == 0 ? x : functional.pad(x, (columns, columns, rows, rows), TorchSharp.PaddingModes.Circular);
        for (var top = 0L; top < height; top += side)
        {
            for (var left = 0L; left < width; left += side)
            {
                using var each = NewDisposeScope();
                var (bottom, right) = (Math.Min(top + side, height), Math.Min(left + side, width));
                // in cells of the edged map
                var (fromY, fromX) = (Math.Max(top + rows - overlap, 0), Math.Max(left + columns - overlap, 0));
                var (toY, toX) = (Math.Min(bottom + rows + overlap, edged.shape[2]), Math.Min(right + columns + overlap, edged.shape[3]));
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
