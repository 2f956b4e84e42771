using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace Levain.Formats.Embeddings;

/// <summary>As much of a PNG as embeddings hide in: its text chunks, and its pixels bit for bit.</summary>
/// <remarks>https://www.w3.org/TR/png-3/; 8-bit RGB and RGBA without interlacing, which is what the webui writes. Colour profiles must not touch these pixels, so no image library does.</remarks>
internal sealed class PngPicture
{
    private const int MaxPixels = 16 << 20, MaxChunkBytes = 64 << 20;
    private const int Rgb = 2, Rgba = 6, Bits = 8;

    private readonly MemoryStream packed = new();
    private int channels;

    private PngPicture() { }

    /// <summary>The eight bytes every PNG begins with.</summary>
    public static ReadOnlySpan<byte> Signature => [0x89, (byte)'P', (byte)'N', (byte)'G', (byte)'\r', (byte)'\n', 0x1a, (byte)'\n'];

    public int Width { get; private set; }

    public int Height { get; private set; }

    /// <summary>Texts by keyword.</summary>
    public Dictionary<string, string> Texts { get; } = new(StringComparer.Ordinal);

    /// <exception cref="InvalidDataException">It is damaged.</exception>
    public static PngPicture Read(Stream stream)
    {
        var picture = new PngPicture();
        stream.Position = Signature.Length;
        Span<byte> head = stackalloc byte[8];
        while (stream.Position < stream.Length)
        {
            stream.ReadExactly(head);
            var length = BinaryPrimitives.ReadUInt32BigEndian(head);
            if (length > MaxChunkBytes || length > stream.Length - stream.Position) throw new InvalidDataException("a PNG chunk is cut short.");
            var data = new byte[length];
            stream.ReadExactly(data);
            stream.Position += sizeof(uint); // the chunk's checksum: the embedding's own compression has one
            picture.Take(Encoding.ASCII.GetString(head[4..]), data);
        }
        return picture;
    }

    /// <summary>Pixels as [height, width, 3], unfiltered.</summary>
    /// <exception cref="InvalidDataException">They are damaged, or of a kind that hides nothing.</exception>
    public byte[] Pixels()
    {
        if (channels == 0) throw new InvalidDataException("its pixels are not 8-bit RGB.");
        var stride = Width * channels;
        var (row, above) = (new byte[stride], new byte[stride]);
        var pixels = new byte[Width * Height * 3];
        packed.Position = 0;
        using var rows = new ZLibStream(packed, CompressionMode.Decompress, leaveOpen: true);
        for (var y = 0; y < Height; y++)
        {
            var filter = rows.ReadByte();
            rows.ReadExactly(row);
            Unfilter(filter, row, above);
            for (var x = 0; x < Width; x++) row.AsSpan(x * channels, 3).CopyTo(pixels.AsSpan((y * Width + x) * 3));
            (row, above) = (above, row);
        }
        return pixels;
    }

    private void Take(string chunk, byte[] data)
    {
        switch (chunk)
        {
            case "IHDR" when data.Length >= 13:
                (Width, Height) = (BinaryPrimitives.ReadInt32BigEndian(data), BinaryPrimitives.ReadInt32BigEndian(data.AsSpan(4)));
                if (Width <= 0 || Height <= 0 || (long)Width * Height > MaxPixels) throw new InvalidDataException($"it is {Width}×{Height} px large.");
                channels = (data[8], data[9], data[12]) switch { (Bits, Rgb, 0) => 3, (Bits, Rgba, 0) => 4, _ => 0 };
                break;
            case "tEXt" when Array.IndexOf(data, (byte)0) is > 0 and var end:
                Texts[Encoding.Latin1.GetString(data, 0, end)] = Encoding.Latin1.GetString(data, end + 1, data.Length - end - 1);
                break;
            case "IDAT":
                packed.Write(data);
                break;
        }
    }

    private void Unfilter(int filter, byte[] row, byte[] above)
    {
        for (var i = 0; i < row.Length; i++)
        {
            int left = i >= channels ? row[i - channels] : 0, up = above[i], corner = i >= channels ? above[i - channels] : 0;
            row[i] += (byte)(filter switch
            {
                0 => 0,
                1 => left,
                2 => up,
                3 => (left + up) / 2,
                4 => Paeth(left, up, corner),
                _ => throw new InvalidDataException($"a row has the filter {filter}."),
            });
        }
    }

    private static int Paeth(int left, int up, int corner)
    {
        var guess = left + up - corner;
        int toLeft = Math.Abs(guess - left), toUp = Math.Abs(guess - up), toCorner = Math.Abs(guess - corner);
        return toLeft <= toUp && toLeft <= toCorner ? left : toUp <= toCorner ? up : corner;
    }
}
