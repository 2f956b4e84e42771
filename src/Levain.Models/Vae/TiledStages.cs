using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>Runs resnets of the autoencoder over a map in tiles, to the numbers of running them over all of it, but for the rounding of sums.</summary>
/// <remarks>
/// Convolutions reach a few cells, which tiles overlap by. Group norms look at everything: where the input lies there whole, the first norm's statistics are taken from it, and the others'
/// from passes over all tiles that only measure.
/// </remarks>
/// <param name="groups">Groups of the norms.</param>
internal sealed class TiledStages(long groups, bool wrapsRows, bool wrapsColumns)
{
    private const long Even = 2;            // what a stride of 2 begins at, and as many cells as it needs beyond a tile
    private long overlap;
    private Place at;                       // of the tile at work

    /// <summary>What follows the resnets.</summary>
    public sealed record End
    {
        /// <summary>A norm within <see cref="Run"/>; null for none.</summary>
        public GroupNormLayer? Norm { get; init; }

        /// <summary>What is computed of the last resnet's map at its own size; null for nothing.</summary>
        public Func<Tensor, Tensor>? Run { get; init; }

        /// <summary>Halves the map; null leaves it.</summary>
        public Downsample2D? Shrink { get; init; }
    }

    /// <summary>A tile within what is cut out for it, in cells of the input.</summary>
    private readonly record struct Place(long Top, long Left, long Height, long Width, long Rows, bool Lowest, bool Rightmost);

    /// <summary>Fills a map with what resnets make of another.</summary>
    /// <param name="whole">The map; any type, on any device.</param>
    /// <param name="x">Their input, [1, C, H, W].</param>
    /// <param name="side">Side of a tile in cells of the input; even where the map is halved.</param>
    public void Fill(Tensor whole, IReadOnlyList<VaeStage> stages, Tensor x, long side, End end)
    {
        using var scope = NewDisposeScope();
        overlap = Math.Max(stages.Sum(stage => stage.Reach) + (end.Shrink is null ? 0 : Even), Even);
        var norms = new List<NormSums>();
        try
        {
            for (var i = 0; i < stages.Count; i++)
            {
                var (before, stage) = (i, stages[i]);
                Measure(stage.Norm("norm1"), (sums, part) => sums.Add(Inner(stage.Entered(Run(before, part)))));
                var second = Measure(stage.Norm("norm2"));
                using (second.Watch(Inner)) EachTile(x, side, part => Run(before + 1, part));
                second.Give();
            }
            if (end.Norm is not null) Measure(end.Norm, (sums, part) => sums.Add(Inner(Run(stages.Count, part))));
            var up = end.Shrink is null ? whole.shape[2] / x.shape[2] : 1;
            var down = end.Shrink is null ? 1 : 2;
            EachTile(x, side, (part, top, left) =>
            {
                if (Math.Min(at.Height, at.Width) < down) return;           // an odd last row or column, of which nothing is left
                var map = Run(stages.Count, part);
                if (end.Run is not null) map = end.Run(map);
                Put(whole, end.Shrink is null ? Inner(map) : Shrunk(end.Shrink, map), top * up / down, left * up / down);
            });
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
                at = new(top + rows - fromY, left + columns - fromX, bottom - top, right - left, toY - fromY, bottom == height, right == width);
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

    /// <summary>The tile alone at half its size. The layer sees zeros beyond the picture's last row and column, also where edges join, and the map's own cells elsewhere.</summary>
    private Tensor Shrunk(Downsample2D shrink, Tensor map)
    {
        var rows = at.Lowest ? at.Height : Math.Min(at.Height + Even, map.shape[2] - at.Top);
        var columns = at.Rightmost ? at.Width : Math.Min(at.Width + Even, map.shape[3] - at.Left);
        return shrink.call(map.narrow(2, at.Top, rows).narrow(3, at.Left, columns)).narrow(2, 0, at.Height / 2).narrow(3, 0, at.Width / 2);
    }

    private static void Put(Tensor whole, Tensor part, long top, long left) => whole.narrow(2, top, part.shape[2]).narrow(3, left, part.shape[3]).copy_(part);
}
