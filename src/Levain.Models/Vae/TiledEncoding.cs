using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>An encoder's upper levels in tiles that give the whole picture's numbers, but for the rounding of sums.</summary>
/// <remarks>
/// As <see cref="TiledDecoding"/>, the other way round. At 768 px in tiles of 256 px it took 0.9 GB and 2.6 times as long, sparing 0.7 GB and 3.6 times as long, where encoding whole takes 2.7 GB.
/// Beside a tile it keeps one map of the first level, 512 bytes a pixel in fp32 with SD 1's widths; sparing, none of it.
/// </remarks>
internal sealed class TiledEncoding(VaeEncoder encoder, TiledStages tiles)
{
    private const long Cell = Core.LatentSize.CellPixels;

    /// <param name="picture">[1, 3, H, W].</param>
    /// <param name="tile">Side of a tile in latent cells.</param>
    /// <param name="spares">Whether maps of the first level are computed anew whenever they are needed.</param>
    /// <returns>[1, 8, H/8, W/8]; the caller's scope owns it.</returns>
    public Tensor Encode(Tensor picture, long tile, bool spares)
    {
        using var scope = NewDisposeScope();
        var (x, side) = (picture, tile * Cell);
        foreach (var (i, level) in encoder.Upper.Index())
        {
            // A level's last resnet and its halving go together, so that its largest map is never whole.
            IEnumerable<IReadOnlyList<VaeStage>> passes = spares && i == 0 ? [level.Stages] : level.Stages.Select(stage => (VaeStage[])[stage]);
            foreach (var stages in passes)
            {
                var halves = stages[^1] == level.Stages[^1];
                var scale = halves ? 2 : 1;
                var next = empty([1, stages[^1].Channels, x.shape[2] / scale, x.shape[3] / scale], x.dtype, x.device);
                tiles.Fill(next, stages, x, side, new() { Shrink = halves ? level.Shrink : null });
                if (!ReferenceEquals(x, picture)) x.Dispose();
                (x, side) = (next, side / scale);
            }
        }
        return encoder.Lower(x).MoveToOuterDisposeScope();
    }
}
