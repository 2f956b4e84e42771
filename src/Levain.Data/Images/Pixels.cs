using Levain.Core;

namespace Levain.Data;

/// <summary>A decoded picture: rows from the top, 8 bits a channel, interleaved.</summary>
/// <param name="Size">Width and height, px.</param>
/// <param name="Channels">3 (RGB) or 4 (RGBA, not premultiplied).</param>
/// <param name="Data">Width · height · channels bytes.</param>
public sealed record Pixels(PixelSize Size, int Channels, byte[] Data)
{
    /// <summary>A black picture.</summary>
    public Pixels(PixelSize size, int channels) : this(size, channels, new byte[size.Area * channels]) { }

    /// <summary>Columns, px.</summary>
    public int Width => Size.Width;

    /// <summary>Rows, px.</summary>
    public int Height => Size.Height;

    /// <summary>Bytes in a row.</summary>
    public int Stride => Size.Width * Channels;

    /// <summary>One row.</summary>
    public Span<byte> Row(int y) => Data.AsSpan(y * Stride, Stride);

    /// <summary>The part of <paramref name="size"/> whose top left corner is at (<paramref name="left"/>, <paramref name="top"/>); this picture itself if that is all of it.</summary>
    public Pixels Crop(int left, int top, PixelSize size)
    {
        if (size == Size) return this;
        var cut = new Pixels(size, Channels);
        for (var y = 0; y < size.Height; y++) Row(top + y).Slice(left * Channels, cut.Stride).CopyTo(cut.Row(y));
        return cut;
    }

    /// <summary>Mirrors left and right, in place.</summary>
    public void Flip()
    {
        for (var y = 0; y < Height; y++)
        {
            var row = Row(y);
            for (int left = 0, right = Stride - Channels; left < right; left += Channels, right -= Channels)
                for (var c = 0; c < Channels; c++)
                    (row[left + c], row[right + c]) = (row[right + c], row[left + c]);
        }
    }

    /// <summary>The picture turned upright, given its EXIF orientation (1 to 8).</summary>
    /// <remarks>CIPA DC-008, tag 0x0112: 2 mirrored, 3 upside down, 4 both, 5 transposed, 6 to be turned right, 7 transposed and upside down, 8 to be turned left.</remarks>
    public Pixels Upright(int orientation)
    {
        if (orientation is < 2 or > 8) return this;
        var turned = new Pixels(orientation >= 5 ? new(Height, Width) : Size, Channels);
        for (var y = 0; y < turned.Height; y++)
        {
            var row = turned.Row(y);
            for (var x = 0; x < turned.Width; x++)
            {
                var (fromX, fromY) = orientation switch
                {
                    2 => (Width - 1 - x, y),
                    3 => (Width - 1 - x, Height - 1 - y),
                    4 => (x, Height - 1 - y),
                    5 => (y, x),
                    6 => (y, Height - 1 - x),
                    7 => (Width - 1 - y, Height - 1 - x),
                    _ => (Width - 1 - y, x),
                };
                Data.AsSpan(fromY * Stride + fromX * Channels, Channels).CopyTo(row[(x * Channels)..]);
            }
        }
        return turned;
    }
}
