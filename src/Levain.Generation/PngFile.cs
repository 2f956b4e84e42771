using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using Levain.Core;

namespace Levain.Generation;

/// <summary>Writes PNG files with the text the webui and other programs read back (keyword <c>parameters</c>).</summary>
/// <remarks>W3C, https://www.w3.org/TR/png-3/. Written here because the same picture must give the same bytes on every system.</remarks>
public static class PngFile
{
    internal const string Keyword = "parameters";

    private const byte BitsPerChannel = 8, TrueColour = 2, NoFilter = 0;
    private const int Channels = 3;

    internal static readonly byte[] Signature = [0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A];
    private static readonly uint[] CrcTable = MakeCrcTable();

    /// <summary>Writes a picture, whole or not at all.</summary>
    /// <param name="text">What goes with it; null for none.</param>
    public static void Write(string path, Picture picture, string? text = null) => AtomicFile.Write(path, stream => Write(stream, picture, text));

    /// <summary>Writes a picture to a stream.</summary>
    public static void Write(Stream stream, Picture picture, string? text = null)
    {
        stream.Write(Signature);
        Span<byte> header = stackalloc byte[13];
        BinaryPrimitives.WriteInt32BigEndian(header, picture.Size.Width);
        BinaryPrimitives.WriteInt32BigEndian(header[4..], picture.Size.Height);
        (header[8], header[9]) = (BitsPerChannel, TrueColour);
        Chunk(stream, "IHDR", header);
        if (!string.IsNullOrEmpty(text)) WriteText(stream, text);
        Chunk(stream, "IDAT", Packed(picture));
        Chunk(stream, "IEND", []);
    }

    private static void WriteText(Stream stream, string text)
    {
        // tEXt holds Latin-1; anything else needs iTXt
        if (text.All(c => c <= byte.MaxValue)) Chunk(stream, "tEXt", [.. Encoding.Latin1.GetBytes(Keyword), 0, .. Encoding.Latin1.GetBytes(text)]);
        else Chunk(stream, "iTXt", [.. Encoding.Latin1.GetBytes(Keyword), 0, 0, 0, 0, 0, .. Encoding.UTF8.GetBytes(text)]);
    }

    private static byte[] Packed(Picture picture)
    {
        using var packed = new MemoryStream();
        using (var zlib = new ZLibStream(packed, CompressionLevel.Optimal, leaveOpen: true))
        {
            var row = picture.Size.Width * Channels;
            for (var y = 0; y < picture.Size.Height; y++)
            {
                zlib.WriteByte(NoFilter);
                zlib.Write(picture.Rgb.AsSpan(y * row, row));
            }
        }
        return packed.ToArray();
    }

    private static void Chunk(Stream stream, string type, ReadOnlySpan<byte> data)
    {
        Span<byte> number = stackalloc byte[4];
        var name = Encoding.ASCII.GetBytes(type);
        BinaryPrimitives.WriteInt32BigEndian(number, data.Length);
        stream.Write(number);
        stream.Write(name);
        stream.Write(data);
        BinaryPrimitives.WriteUInt32BigEndian(number, ~Crc(Crc(uint.MaxValue, name), data));
        stream.Write(number);
    }

    private static uint Crc(uint crc, ReadOnlySpan<byte> data)
    {
        foreach (var value in data) crc = CrcTable[(byte)(crc ^ value)] ^ crc >> 8;
        return crc;
    }

    private static uint[] MakeCrcTable()
    {
        const uint Polynomial = 0xEDB88320;
        var table = new uint[256];
        for (uint value = 0; value < table.Length; value++)
        {
            var crc = value;
            for (var bit = 0; bit < 8; bit++) crc = (crc & 1) == 0 ? crc >> 1 : crc >> 1 ^ Polynomial;
            table[value] = crc;
        }
        return table;
    }
}
