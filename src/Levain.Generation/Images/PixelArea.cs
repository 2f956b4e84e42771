using Levain.Core;

namespace Levain.Generation;

/// <summary>A rectangle in px; the right and lower edge are outside.</summary>
internal readonly record struct PixelArea(int Left, int Top, int Right, int Bottom)
{
    public PixelSize Size => new(Right - Left, Bottom - Top);

    /// <summary>The smallest area around everything that is not black, and a margin; null for a black mask.</summary>
    /// <remarks>AUTOMATIC1111's webui, <c>masking.get_crop_region_v2</c>.</remarks>
    public static PixelArea? Around(GrayMask mask, int padding)
    {
        var (width, height) = (mask.Size.Width, mask.Size.Height);
        int left = width, top = height, right = 0, bottom = 0;
        for (var y = 0; y < height; y++)
        {
            for (var x = 0; x < width; x++)
            {
                if (mask.Levels[y * width + x] == 0) continue;
                (left, top, right, bottom) = (Math.Min(left, x), Math.Min(top, y), Math.Max(right, x + 1), Math.Max(bottom, y + 1));
            }
        }
        if (right == 0) return null;
        return new(Math.Max(left - padding, 0), Math.Max(top - padding, 0), Math.Min(right + padding, width), Math.Min(bottom + padding, height));
    }

    /// <summary>Widened to the shape of what is drawn, and moved to stay within the picture.</summary>
    /// <remarks>AUTOMATIC1111's webui, <c>masking.expand_crop_region</c>.</remarks>
    public PixelArea Shaped(PixelSize drawn, PixelSize picture)
    {
        var ratio = (double)drawn.Width / drawn.Height;
        if ((double)Size.Width / Size.Height > ratio)
        {
            var (top, bottom) = Widened(Top, Bottom, (int)(Size.Width / ratio - Size.Height), picture.Height);
            return this with { Top = top, Bottom = bottom };
        }
        var (left, right) = Widened(Left, Right, (int)(Size.Height * ratio - Size.Width), picture.Width);
        return this with { Left = left, Right = right };
    }

    private static (int From, int To) Widened(int from, int to, int more, int limit)
    {
        (from, to) = (from - more / 2, to + more - more / 2);
        if (to >= limit) (from, to) = (from - (to - limit), limit);
        if (from < 0) (from, to) = (0, to - from);
        return (from, Math.Min(to, limit));
    }
}
