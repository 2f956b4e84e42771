using Levain.Core;
using Levain.Data;

namespace Levain.Generation;

/// <summary>A picture of one channel: white is what is drawn anew.</summary>
/// <param name="Size">Width and height in px.</param>
/// <param name="Levels">Width × height levels, 0 to 255.</param>
public sealed record GrayMask(PixelSize Size, byte[] Levels)
{
    private const byte Opaque = byte.MaxValue, Middle = 128;

    // Rec. 601 luma in Pillow's 16-bit fixed point.
    private const int RedShare = 19595, GreenShare = 38470, BlueShare = 7471, LumaHalf = 0x8000, LumaBits = 16;

    /// <summary>A mask from a picture: its transparency where it has some (a cut-out subject), else how bright it is.</summary>
    /// <exception cref="ImageException">The file cannot be read.</exception>
    public static GrayMask Open(string path)
    {
        var read = ImageReader.Read(path, Compat.Sound, alpha: true);
        var data = read.Pixels.Data;
        var levels = new byte[read.Pixels.Size.Area];
        var transparent = Enumerable.Range(0, levels.Length).Any(i => data[4 * i + 3] < Opaque);
        for (var i = 0; i < levels.Length; i++)
            levels[i] = transparent
                ? data[4 * i + 3] > Middle ? Opaque : (byte)0
                : (byte)(data[4 * i] * RedShare + data[4 * i + 1] * GreenShare + data[4 * i + 2] * BlueShare + LumaHalf >> LumaBits);
        return new(read.Pixels.Size, levels);
    }

    /// <summary>Whether nothing is drawn anew.</summary>
    public bool IsBlank => Levels.AsSpan().IndexOfAnyExcept((byte)0) < 0;

    /// <summary>Only black and white, split in the middle.</summary>
    public GrayMask Rounded() => Each(level => level > Middle ? Opaque : (byte)0);

    /// <summary>Black where it was white.</summary>
    public GrayMask Inverted() => Each(level => (byte)(Opaque - level));

    /// <summary>Twice as bright, as the webui lays originals over results.</summary>
    internal GrayMask Doubled() => Each(level => (byte)Math.Min(2 * level, Opaque));

    /// <summary>Blurred by a Gaussian, first along rows, then along columns, mirrored at the edges.</summary>
    /// <param name="deviation">σ in px; 0 leaves it as it is.</param>
    /// <remarks>The webui's kernel of 2·⌊2.5·σ + 0.5⌋ + 1 px, each pass rounded to 8 bits as OpenCV does.</remarks>
    internal GrayMask Blurred(double deviation)
    {
        if (deviation <= 0) return this;
        var reach = (int)(2.5 * deviation + 0.5);
        var kernel = Enumerable.Range(-reach, 2 * reach + 1).Select(i => Math.Exp(-i * i / (2 * deviation * deviation))).ToArray();
        var sum = kernel.Sum();
        var (width, height) = (Size.Width, Size.Height);
        var rows = Pass((x, y, i) => Levels[y * width + Mirrored(x + i, width)]);
        return new(Size, Pass((x, y, i) => rows[Mirrored(y + i, height) * width + x]));

        byte[] Pass(Func<int, int, int, byte> at)
        {
            var result = new byte[Levels.Length];
            for (var y = 0; y < height; y++)
            {
                for (var x = 0; x < width; x++)
                {
                    var total = 0.0;
                    for (var i = -reach; i <= reach; i++) total += kernel[i + reach] * at(x, y, i);
                    result[y * width + x] = (byte)Math.Round(total / sum);
                }
            }
            return result;
        }

        // …2 1 0 1 2…: the edge itself is not repeated
        static int Mirrored(int place, int count)
        {
            if (count == 1) return 0;
            place = Math.Abs(place) % (2 * count - 2);
            return place < count ? place : 2 * count - 2 - place;
        }
    }

    /// <summary>The mask as a gray picture.</summary>
    internal Picture AsPicture() => new(Size, [.. Levels.SelectMany(level => new[] { level, level, level })]);

    /// <summary>A gray picture as a mask.</summary>
    internal static GrayMask Of(Picture gray) => new(gray.Size, [.. Enumerable.Range(0, (int)gray.Size.Area).Select(i => gray.Rgb[3 * i])]);

    private GrayMask Each(Func<byte, byte> change) => new(Size, [.. Levels.Select(change)]);
}
