using Levain.Core;
using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Generation;

/// <summary>Enlarges pictures with a network in tiles, as often as it takes, and brings them to the size wanted.</summary>
/// <remarks>AUTOMATIC1111's webui, <c>Upscaler.upscale</c> and <c>upscaler_utils.tiled_upscale</c>; tiles at the edge are moved inwards, so that none is filled with black.</remarks>
internal sealed class PictureEnlarger(UpscaleModel model)
{
    private const int Tile = 192, Overlap = 8, MostTimes = 3;

    public Picture Enlarge(Picture picture, PixelSize size)
    {
        var target = size.ToLatent().ToPixels();
        for (var n = 0; n < MostTimes && (picture.Size.Width < target.Width || picture.Size.Height < target.Height); n++)
        {
            if (model.Scale == 1 && n > 0) break;
            picture = Once(picture);
        }
        return picture.Stretched(target);
    }

    private Picture Once(Picture picture)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var whole = ((picture.ToTensor() + 1) / 2).flip(1);                              // blue first, as such files are trained
        var (height, width, scale) = (picture.Size.Height, picture.Size.Width, model.Scale);
        var (rows, columns) = (Places(height), Places(width));
        var (tileHeight, tileWidth) = (Math.Min(Tile, height), Math.Min(Tile, width));
        var blend = Overlap * scale;
        var result = zeros(1, 3, height * scale, width * scale);
        for (var r = 0; r < rows.Count; r++)
        {
            using var line = NewDisposeScope();
            var row = zeros(1, 3, tileHeight * scale, width * scale);
            for (var c = 0; c < columns.Count; c++)
            {
                using var each = NewDisposeScope();
                var part = model.Enlarge(whole.narrow(2, rows[r], tileHeight).narrow(3, columns[c], tileWidth)).cpu().clamp(0, 1);
                Lay(row, part, 3, columns[c] * scale, c > 0 ? blend : 0);
            }
            Lay(result, row, 2, rows[r] * scale, r > 0 ? blend : 0);
        }
        return Picture.OfLevels((result.flip(1).squeeze(0) * byte.MaxValue).round());
    }

    /// <summary>Starts of tiles along a side, evenly spread, the last one ending at the edge.</summary>
    private static List<int> Places(int length)
    {
        if (length <= Tile) return [0];
        var count = (int)Math.Ceiling((length - Overlap) / (double)(Tile - Overlap));
        var step = (length - Tile) / (double)(count - 1);
        return [.. Enumerable.Range(0, count).Select(i => Math.Min((int)(i * step), length - Tile))];
    }

    /// <summary>Lays a part over what is there, fading in over its first <paramref name="blend"/> px.</summary>
    private static void Lay(Tensor target, Tensor part, int dimension, long at, int blend)
    {
        using var scope = NewDisposeScope();
        var place = target.narrow(dimension, at, part.shape[dimension]);
        if (blend == 0)
        {
            place.copy_(part);
            return;
        }
        var share = ones(part.shape[dimension]);
        share.narrow(0, 0, blend).copy_(arange(blend, dtype: ScalarType.Float32) / blend);
        share = dimension == 3 ? share.view(1, 1, 1, -1) : share.view(1, 1, -1, 1);
        place.copy_(place + (part - place) * share);
    }
}
