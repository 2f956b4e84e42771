using System.Buffers.Binary;
using System.Text;
using Levain.Core;
using SkiaSharp;

namespace Levain.Generation;

/// <summary>Picture files with the text the webui and other programs read back: PNG's <c>parameters</c>, EXIF's user comment in JPEG and WebP.</summary>
/// <remarks>EXIF 2.32 (CIPA DC-008), tag 0x9286; https://developers.google.com/speed/webp/docs/riff_container.</remarks>
public static class PictureFile
{
    private const int JpegQuality = 80, MostText = 1 << 20;
    private const ushort UserComment = 0x9286, ExifPointer = 0x8769, TypeUndefined = 7, TypeLong = 4;
    private const int EntryBytes = 12, HeaderBytes = 8;

    private static readonly byte[] Unicode = "UNICODE\0"u8.ToArray();
    private static readonly byte[] ExifMark = "Exif\0\0"u8.ToArray();

    /// <summary>Endings that are written.</summary>
    public static IReadOnlyList<string> Endings { get; } = [".png", ".jpg", ".jpeg", ".webp"];

    /// <summary>Writes a picture, whole or not at all; the format follows the path's ending.</summary>
    /// <param name="text">What goes with it; null for none.</param>
    /// <exception cref="SettingsException">The ending is none of <see cref="Endings"/>.</exception>
    public static void Write(string path, Picture picture, string? text = null)
    {
        switch (Path.GetExtension(path).ToLowerInvariant())
        {
            case ".png":
                PngFile.Write(path, picture, text);
                break;
            case ".jpg" or ".jpeg":
                AtomicFile.Write(path, stream => stream.Write(WithExif(Encoded(picture, SKEncodedImageFormat.Jpeg), text, IntoJpeg)));
                break;
            case ".webp":
                AtomicFile.Write(path, stream => stream.Write(WithExif(Encoded(picture, SKEncodedImageFormat.Webp), text, (file, exif) => IntoWebP(file, exif, picture.Size))));
                break;
            case var other:
                throw new SettingsException([new("output", $"ends with '{other}'.", $"Pictures are written as {string.Join(", ", Endings)}.")]);
        }
    }

    /// <summary>The text a picture carries; null for none.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static string? ReadText(string path)
    {
        var file = File.ReadAllBytes(path);
        if (file.AsSpan().StartsWith(PngFile.Signature)) return PngTexts.Infotext(file);
        if (file is [0xFF, 0xD8, ..]) return JpegText(file);
        if (file.Length > 12 && file.AsSpan().StartsWith("RIFF"u8) && file.AsSpan(8).StartsWith("WEBP"u8)) return WebPText(file);
        return null;
    }

    private static byte[] Encoded(Picture picture, SKEncodedImageFormat format)
    {
        using var bitmap = PictureGrid.Bitmap(picture);
        using var data = bitmap.Encode(format, JpegQuality);
        return data.ToArray();
    }

    private static byte[] WithExif(byte[] file, string? text, Func<byte[], byte[], byte[]> into) => string.IsNullOrEmpty(text) ? file : into(file, Exif(text));

    /// <summary>A TIFF directory that points to another, which holds the comment.</summary>
    private static byte[] Exif(string text)
    {
        byte[] comment = [.. Unicode, .. Encoding.BigEndianUnicode.GetBytes(text)];
        var (first, second) = (HeaderBytes, HeaderBytes + 2 + EntryBytes + 4);
        var data = new byte[second + 2 + EntryBytes + 4 + comment.Length];
        "MM\0*"u8.CopyTo(data);
        BinaryPrimitives.WriteInt32BigEndian(data.AsSpan(4), first);
        Entry(first, ExifPointer, TypeLong, 1, second);
        Entry(second, UserComment, TypeUndefined, comment.Length, data.Length - comment.Length);
        comment.CopyTo(data, data.Length - comment.Length);
        return data;

        void Entry(int at, ushort tag, ushort type, int count, int value)
        {
            BinaryPrimitives.WriteUInt16BigEndian(data.AsSpan(at), 1);
            BinaryPrimitives.WriteUInt16BigEndian(data.AsSpan(at + 2), tag);
            BinaryPrimitives.WriteUInt16BigEndian(data.AsSpan(at + 4), type);
            BinaryPrimitives.WriteInt32BigEndian(data.AsSpan(at + 6), count);
            BinaryPrimitives.WriteInt32BigEndian(data.AsSpan(at + 10), value);
        }
    }

    private static byte[] IntoJpeg(byte[] file, byte[] exif)
    {
        var length = 2 + ExifMark.Length + exif.Length;
        // A segment counts its bytes in 16 bits; a longer text has no place in a JPEG.
        return length > ushort.MaxValue ? file : [file[0], file[1], 0xFF, 0xE1, (byte)(length >> 8), (byte)length, .. ExifMark, .. exif, .. file[2..]];
    }

    private static byte[] IntoWebP(byte[] file, byte[] exif, PixelSize size)
    {
        const byte HasExif = 8;
        var body = file.AsSpan(12);
        // Plain files get the extended header in front; where there is one already its flag is set.
        byte[] head = body.StartsWith("VP8X"u8)
            ? []
            : [.. "VP8X"u8, 10, 0, 0, 0, HasExif, 0, 0, 0, .. Bytes(size.Width - 1)[..3], .. Bytes(size.Height - 1)[..3]];
        var chunks = body.ToArray();
        if (head.Length == 0) chunks[8] |= HasExif;
        byte[] all = [.. "WEBP"u8, .. head, .. chunks, .. "EXIF"u8, .. Bytes(exif.Length), .. exif, .. new byte[exif.Length % 2]];
        return [.. "RIFF"u8, .. Bytes(all.Length), .. all];

        static byte[] Bytes(int number)
        {
            var bytes = new byte[4];
            BinaryPrimitives.WriteInt32LittleEndian(bytes, number);
            return bytes;
        }
    }

    private static string? JpegText(ReadOnlySpan<byte> file)
    {
        for (var at = 2; at + 4 <= file.Length && file[at] == 0xFF && file[at + 1] != 0xDA;)
        {
            var length = BinaryPrimitives.ReadUInt16BigEndian(file[(at + 2)..]);
            if (length < 2 || at + 2 + length > file.Length) return null;
            var data = file.Slice(at + 4, length - 2);
            if (file[at + 1] == 0xE1 && data.StartsWith(ExifMark)) return ExifText(data[ExifMark.Length..]);
            at += 2 + length;
        }
        return null;
    }

    private static string? WebPText(ReadOnlySpan<byte> file)
    {
        var rest = file[12..];
        while (rest.Length >= HeaderBytes)
        {
            var length = BinaryPrimitives.ReadInt32LittleEndian(rest[4..]);
            if (length < 0 || length > rest.Length - HeaderBytes) return null;
            if (rest.StartsWith("EXIF"u8))
            {
                var data = rest.Slice(HeaderBytes, length);
                return ExifText(data.StartsWith(ExifMark) ? data[ExifMark.Length..] : data);
            }
            rest = rest[Math.Min(HeaderBytes + length + length % 2, rest.Length)..];
        }
        return null;
    }

    /// <summary>The user comment of a TIFF directory, in either byte order.</summary>
    private static string? ExifText(ReadOnlySpan<byte> tiff)
    {
        if (tiff.Length < HeaderBytes) return null;
        var big = tiff[0] == 'M';
        if (Find(tiff, Number(tiff, 4), ExifPointer, big) is not { } pointer || Find(tiff, pointer.Value, UserComment, big) is not { } comment) return null;
        if (comment.Count < Unicode.Length || comment.Count > MostText || comment.Value < 0 || comment.Value > tiff.Length - comment.Count) return null;
        var data = tiff.Slice(comment.Value, comment.Count);
        if (data.StartsWith(Unicode)) return (big || data.Length > 8 && data[8] == 0 ? Encoding.BigEndianUnicode : Encoding.Unicode).GetString(data[Unicode.Length..]).TrimEnd('\0');
        return data.StartsWith("ASCII\0\0\0"u8) ? Encoding.ASCII.GetString(data[Unicode.Length..]).TrimEnd('\0') : null;

        int Number(ReadOnlySpan<byte> bytes, int at) => at < 0 || at + 4 > bytes.Length ? -1 : big ? BinaryPrimitives.ReadInt32BigEndian(bytes[at..]) : BinaryPrimitives.ReadInt32LittleEndian(bytes[at..]);

        (int Count, int Value)? Find(ReadOnlySpan<byte> bytes, int at, ushort tag, bool bigEndian)
        {
            if (at < 0 || at + 2 > bytes.Length) return null;
            var entries = Short(bytes, at);
            for (var i = 0; i < entries; i++)
            {
                var entry = at + 2 + i * EntryBytes;
                if (entry + EntryBytes > bytes.Length) return null;
                if (Short(bytes, entry) == tag) return (Number(bytes, entry + 4), Number(bytes, entry + 8));
            }
            return null;

            ushort Short(ReadOnlySpan<byte> span, int place) => bigEndian ? BinaryPrimitives.ReadUInt16BigEndian(span[place..]) : BinaryPrimitives.ReadUInt16LittleEndian(span[place..]);
        }
    }
}
