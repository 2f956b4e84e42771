using Levain.Core;
using SkiaSharp;

namespace Levain.Generation;

/// <summary>Puts pictures side by side with a legend over each column and beside each row.</summary>
public static class PictureGrid
{
    private const int Gap = 4, Padding = 8, SmallestFont = 12, CellShareOfFont = 25, LeastRowLegend = 168;
    private const float LineHeight = 1.25f;

    // The same letters on every system: minimal ones have no font at all.
    private static readonly Lazy<SKTypeface> Letters = new(() =>
        SKTypeface.FromStream(typeof(PictureGrid).Assembly.GetManifestResourceStream("Fonts.DejaVuSansMono.ttf")!));

    /// <summary>Arranges pictures; a smaller one is centred in its cell.</summary>
    /// <param name="rows">Rows of pictures, equally long.</param>
    /// <param name="columnLegends">A legend a column; empty for none.</param>
    /// <param name="rowLegends">A legend a row; empty for none.</param>
    public static Picture Arrange(IReadOnlyList<IReadOnlyList<Picture>> rows, IReadOnlyList<string> columnLegends, IReadOnlyList<string> rowLegends)
    {
        var cell = new SKSizeI(rows.Max(row => row.Max(picture => picture.Size.Width)), rows.Max(row => row.Max(picture => picture.Size.Height)));
        using var font = new SKFont(Letters.Value, Math.Max((cell.Width + cell.Height) / CellShareOfFont, SmallestFont)) { Subpixel = true };
        var left = rowLegends.Any(legend => legend.Length > 0) ? Math.Max(cell.Width * 3 / 4, LeastRowLegend) : 0;
        var columns = columnLegends.Select(legend => Wrap(legend, font, cell.Width - Padding)).ToList();
        var sides = rowLegends.Select(legend => Wrap(legend, font, left - 2 * Padding)).ToList();
        var line = font.Size * LineHeight;
        var top = columns.Count == 0 ? 0 : (int)Math.Ceiling(columns.Max(lines => lines.Count) * line) + 2 * Padding;
        var heights = rows.Select((_, y) => Math.Max(cell.Height, y < sides.Count ? (int)Math.Ceiling(sides[y].Count * line) + Padding : 0)).ToList();

        var width = left + rows[0].Count * (cell.Width + Gap) - Gap;
        var height = top + heights.Sum() + Gap * (rows.Count - 1);
        using var surface = new SKBitmap(new SKImageInfo(width, height, SKColorType.Rgba8888, SKAlphaType.Opaque));
        using var canvas = new SKCanvas(surface);
        using var ink = new SKPaint { Color = SKColors.Black, IsAntialias = true };
        canvas.Clear(SKColors.White);

        for (var x = 0; x < columns.Count; x++)
            Write(columns[x], left + x * (cell.Width + Gap) + cell.Width / 2f, top / 2f);
        for (int y = 0, at = top; y < rows.Count; at += heights[y] + Gap, y++)
        {
            if (y < sides.Count) Write(sides[y], left / 2f, at + heights[y] / 2f);
            for (var x = 0; x < rows[y].Count; x++)
            {
                using var picture = Bitmap(rows[y][x]);
                canvas.DrawBitmap(picture, left + x * (cell.Width + Gap) + (cell.Width - picture.Width) / 2, at + (heights[y] - picture.Height) / 2);
            }
        }
        return Pixels(surface);

        void Write(IReadOnlyList<string> lines, float centre, float middle)
        {
            var baseline = middle - lines.Count * line / 2 + font.Size;
            foreach (var words in lines)
            {
                canvas.DrawText(words, centre, baseline, SKTextAlign.Center, font, ink);
                baseline += line;
            }
        }
    }

    /// <summary>Breaks a text into lines no wider than <paramref name="width"/>, between words where it can.</summary>
    private static IReadOnlyList<string> Wrap(string text, SKFont font, float width)
    {
        var lines = new List<string>();
        foreach (var paragraph in text.Split('\n'))
        {
            var line = "";
            foreach (var word in paragraph.Split(' ').SelectMany(word => Pieces(word, font, width)))
            {
                var longer = line.Length == 0 ? word : $"{line} {word}";
                if (line.Length == 0 || font.MeasureText(longer) <= width)
                {
                    line = longer;
                    continue;
                }
                lines.Add(line);
                line = word;
            }
            lines.Add(line);
        }
        return lines;
    }

    /// <summary>A word wider than a line, cut where it must be.</summary>
    private static IEnumerable<string> Pieces(string word, SKFont font, float width)
    {
        while (word.Length > 1 && font.MeasureText(word) > width)
        {
            var count = word.Length - 1;
            while (count > 1 && font.MeasureText(word.AsSpan(0, count)) > width) count--;
            yield return word[..count];
            word = word[count..];
        }
        yield return word;
    }

    /// <summary>A picture as SkiaSharp has it.</summary>
    internal static SKBitmap Bitmap(Picture picture)
    {
        var bitmap = new SKBitmap(new SKImageInfo(picture.Size.Width, picture.Size.Height, SKColorType.Rgba8888, SKAlphaType.Opaque));
        var target = bitmap.GetPixelSpan();
        for (int from = 0, to = 0; from < picture.Rgb.Length; from += 3, to += 4)
        {
            picture.Rgb.AsSpan(from, 3).CopyTo(target[to..]);
            target[to + 3] = byte.MaxValue;
        }
        return bitmap;
    }

    private static Picture Pixels(SKBitmap bitmap)
    {
        var source = bitmap.GetPixelSpan();
        var rgb = new byte[bitmap.Width * bitmap.Height * 3];
        for (int from = 0, to = 0; to < rgb.Length; from += 4, to += 3) source.Slice(from, 3).CopyTo(rgb.AsSpan(to));
        return new(new PixelSize(bitmap.Width, bitmap.Height), rgb);
    }
}
