using System.Buffers.Binary;
using Levain.Core;
using SharpZip = ICSharpCode.SharpZipLib.Checksum;

namespace Levain.Data;

/// <summary>Formats that are read.</summary>
public enum ImageFormat
{
    /// <summary>Portable Network Graphics.</summary>
    Png,

    /// <summary>JPEG.</summary>
    Jpeg,

    /// <summary>WebP, lossy and lossless.</summary>
    WebP,

    /// <summary>Windows bitmap.</summary>
    Bmp,

    /// <summary>GIF; the first frame.</summary>
    Gif,

    /// <summary>TIFF; the first page.</summary>
    Tiff,

    /// <summary>AV1 still picture.</summary>
    Avif,
}

/// <summary>What the first bytes of a picture tell; no pixel is read.</summary>
public sealed record ImageHeader
{
    /// <summary>Pictures with more pixels are refused (Pillow's limit for "decompression bombs").</summary>
    public const long MostPixels = 178_956_970;

    /// <summary>The format, from the content.</summary>
    public required ImageFormat Format { get; init; }

    /// <summary>Size as stored, before <see cref="Orientation"/> is applied, px.</summary>
    public required PixelSize Stored { get; init; }

    /// <summary>EXIF orientation, 1 to 8; 1 is upright.</summary>
    public int Orientation { get; init; } = 1;

    /// <summary>Whether the file holds several frames.</summary>
    public bool Animated { get; init; }

    /// <summary>An extended WebP file, whose size kohya's pinned imagesize reads one pixel too small.</summary>
    public bool ExtendedWebP { get; init; }

    /// <summary>Size as shown, px.</summary>
    public PixelSize Size => Orientation >= 5 ? new(Stored.Height, Stored.Width) : Stored;

    /// <summary>The size buckets are chosen by: as shown, or, under <see cref="Compat.RawPixels"/>, as kohya's imagesize 1.4.1 reports it.</summary>
    public PixelSize SizeForBucket(Compat compat) =>
        !compat.RawPixels ? Size : ExtendedWebP ? new(Stored.Width - 1, Stored.Height - 1) : Stored;

    /// <summary>Reads the header of a file.</summary>
    /// <exception cref="ImageException">The file is empty, no picture, of a format that is not read, too large, or damaged in its header.</exception>
    public static ImageHeader Read(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, 4096);
        return Read(stream);
    }

    /// <summary>Reads the header at the beginning of a stream that can seek.</summary>
    /// <exception cref="ImageException">As for a file.</exception>
    public static ImageHeader Read(Stream stream)
    {
        Span<byte> head = stackalloc byte[32];
        var length = stream.ReadAtLeast(head, head.Length, throwOnEndOfStream: false);
        if (length == 0) throw new ImageException(ImageFault.Empty, "is empty: an interrupted copy or download. Replace the file.");
        head = head[..length];
        ImageHeader header;
        try
        {
            header = Parse(head, stream);
        }
        catch (EndOfStreamException e)
        {
            throw new ImageException(ImageFault.Corrupt, $"is cut off in its header after {stream.Length:N0} bytes. Replace the file.", e);
        }
        if (header.Stored.Width < 1 || header.Stored.Height < 1)
            throw new ImageException(ImageFault.Corrupt, $"says that it is {header.Stored} px. Replace the file.");
        if (header.Stored.Area > MostPixels)
            throw new ImageException(ImageFault.TooLarge, $"says that it is {header.Stored} px, more than {MostPixels / 1_000_000} million. Scale it down first.");
        return header;
    }

    /// <summary>The eight bytes every PNG begins with.</summary>
    internal static ReadOnlySpan<byte> PngSignature => [0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A];

    private static ImageHeader Parse(ReadOnlySpan<byte> head, Stream stream)
    {
        if (head.StartsWith(PngSignature)) return ReadPng(stream);
        if (head.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xD8])) return ReadJpeg(stream);
        if (head.StartsWith("RIFF"u8) && head.Length >= 12 && head[8..12].SequenceEqual("WEBP"u8)) return ReadWebP(stream);
        if (head.StartsWith("BM"u8)) return ReadBmp(stream);
        if (head.StartsWith("GIF8"u8)) return new() { Format = ImageFormat.Gif, Stored = new(U16(stream, 6, little: true), U16(stream, 8, little: true)) };
        if (head.StartsWith("II*\0"u8) || head.StartsWith("MM\0*"u8)) return VipsReader.ReadHeader(stream, ImageFormat.Tiff);
        if (head.Length >= 12 && head[4..8].SequenceEqual("ftyp"u8)) return ReadIsoMedia(head, stream);
        throw NotAnImage(head);
    }

    // --- PNG: https://www.w3.org/TR/png-3/ ---

    private static ImageHeader ReadPng(Stream stream)
    {
        var ihdr = Bytes(stream, 12, 21);
        if (!ihdr.AsSpan(0, 4).SequenceEqual("IHDR"u8)) throw new ImageException(ImageFault.Corrupt, "is a PNG file without a header. Replace the file.");
        var crc = new SharpZip.Crc32();
        crc.Update(new ArraySegment<byte>(ihdr, 0, 17));
        if ((uint)crc.Value != BinaryPrimitives.ReadUInt32BigEndian(ihdr.AsSpan(17)))
            throw new ImageException(ImageFault.Corrupt, "is damaged: the checksum of its header is wrong. Replace the file.");
        var size = new PixelSize(Side(BinaryPrimitives.ReadUInt32BigEndian(ihdr.AsSpan(4))), Side(BinaryPrimitives.ReadUInt32BigEndian(ihdr.AsSpan(8))));
        var (orientation, animated) = (1, false);
        var chunk = new byte[8];
        for (var at = 33L; at + 8 <= stream.Length;)
        {
            stream.Position = at;
            stream.ReadExactly(chunk);
            var length = BinaryPrimitives.ReadUInt32BigEndian(chunk);
            var type = chunk.AsSpan(4);
            if (type.SequenceEqual("acTL"u8)) animated = true;
            if (type.SequenceEqual("eXIf"u8)) orientation = ExifOrientation.Read(Bytes(stream, at + 8, (int)Math.Min(length, stream.Length - at - 8)));
            if (type.SequenceEqual("IEND"u8)) break;
            at += 12L + length;
        }
        return new() { Format = ImageFormat.Png, Stored = size, Orientation = orientation, Animated = animated };
    }

    // --- JPEG: ITU-T T.81, annex B ---

    private static ImageHeader ReadJpeg(Stream stream)
    {
        var orientation = 1;
        for (var at = 2L; ;)
        {
            var marker = Bytes(stream, at, 4);
            if (marker[0] != 0xFF) throw new ImageException(ImageFault.Corrupt, $"is damaged at byte {at:N0}: a JPEG marker is missing. Replace the file.");
            if (marker[1] == 0xFF) { at++; continue; }                                    // fill byte
            if (marker[1] is 0x01 or >= 0xD0 and <= 0xD8) { at += 2; continue; }          // markers without content
            if (marker[1] is 0xD9 or 0xDA) throw new ImageException(ImageFault.Corrupt, "is a JPEG file without a size. Replace the file.");
            var length = BinaryPrimitives.ReadUInt16BigEndian(marker.AsSpan(2));
            if (length < 2) throw new ImageException(ImageFault.Corrupt, $"is damaged at byte {at:N0}: a JPEG segment has no length. Replace the file.");
            if (marker[1] is >= 0xC0 and <= 0xCF and not (0xC4 or 0xC8 or 0xCC))          // frame header
            {
                var frame = Bytes(stream, at + 5, 4);
                var size = new PixelSize(BinaryPrimitives.ReadUInt16BigEndian(frame.AsSpan(2)), BinaryPrimitives.ReadUInt16BigEndian(frame));
                return new() { Format = ImageFormat.Jpeg, Stored = size, Orientation = orientation };
            }
            if (marker[1] == 0xE1 && length > 16)
            {
                var segment = Bytes(stream, at + 4, length - 2);
                if (segment.AsSpan().StartsWith("Exif\0\0"u8)) orientation = ExifOrientation.Read(segment);
            }
            at += 2 + length;
        }
    }

    // --- WebP: RFC 9649 ---

    private static ImageHeader ReadWebP(Stream stream)
    {
        var first = Bytes(stream, 12, 18);
        var type = first.AsSpan(0, 4);
        if (type.SequenceEqual("VP8 "u8))
        {
            var frame = Bytes(stream, 26, 4);
            return new() { Format = ImageFormat.WebP, Stored = new(Low14(frame, 0), Low14(frame, 2)) };
        }
        if (type.SequenceEqual("VP8L"u8))
        {
            var bits = BinaryPrimitives.ReadUInt32LittleEndian(first.AsSpan(9));
            return new() { Format = ImageFormat.WebP, Stored = new((int)(bits & 0x3FFF) + 1, (int)(bits >> 14 & 0x3FFF) + 1) };
        }
        if (!type.SequenceEqual("VP8X"u8)) throw new ImageException(ImageFault.Corrupt, "is a WebP file without a picture. Replace the file.");
        const int AnimationFlag = 0x02, ExifFlag = 0x08;
        var (flags, width, height) = (first[8], Low24(first, 12) + 1, Low24(first, 15) + 1);
        return new()
        {
            Format = ImageFormat.WebP,
            Stored = new(width, height),
            ExtendedWebP = true,
            Animated = (flags & AnimationFlag) != 0,
            Orientation = (flags & ExifFlag) != 0 ? WebPOrientation(stream) : 1,
        };

        static int Low14(byte[] b, int at) => BinaryPrimitives.ReadUInt16LittleEndian(b.AsSpan(at)) & 0x3FFF;
        static int Low24(byte[] b, int at) => b[at] | b[at + 1] << 8 | b[at + 2] << 16;
    }

    private static int WebPOrientation(Stream stream)
    {
        for (var at = 12L; at + 8 <= stream.Length;)
        {
            var chunk = Bytes(stream, at, 8);
            var length = BinaryPrimitives.ReadUInt32LittleEndian(chunk.AsSpan(4));
            if (chunk.AsSpan(0, 4).SequenceEqual("EXIF"u8)) return ExifOrientation.Read(Bytes(stream, at + 8, (int)Math.Min(length, stream.Length - at - 8)));
            at += 8L + length + (length & 1);
        }
        return 1;
    }

    // --- BMP: BITMAPCOREHEADER and BITMAPINFOHEADER ---

    private static ImageHeader ReadBmp(Stream stream)
    {
        const int CoreHeader = 12;
        var header = Bytes(stream, 14, CoreHeader);
        return new()
        {
            Format = ImageFormat.Bmp,
            Stored = BinaryPrimitives.ReadUInt32LittleEndian(header) == CoreHeader
                ? new(BinaryPrimitives.ReadUInt16LittleEndian(header.AsSpan(4)), BinaryPrimitives.ReadUInt16LittleEndian(header.AsSpan(6)))
                : new(BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(4)), Math.Abs(Math.Max(-int.MaxValue, BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(8))))),
        };
    }

    // --- AVIF and its relatives: ISO/IEC 23008-12 ---

    private static ImageHeader ReadIsoMedia(ReadOnlySpan<byte> head, Stream stream)
    {
        var brand = head[8..12];
        if (brand.SequenceEqual("avif"u8) || brand.SequenceEqual("avis"u8)) return VipsReader.ReadHeader(stream, ImageFormat.Avif) with { Animated = brand[3] == 's' };
        throw new ImageException(ImageFault.Unsupported, brand[0] is (byte)'h' or (byte)'m'
            ? "is a HEIC picture, as phones take them, which is not read. Convert it to PNG or JPEG."
            : "is a video or a picture in a video container, which is not read. Convert it to PNG or JPEG.");
    }

    // --- everything else ---

    private static ImageException NotAnImage(ReadOnlySpan<byte> head)
    {
        var text = System.Text.Encoding.Latin1.GetString(head).TrimStart('\xEF', '\xBB', '\xBF', ' ', '\t', '\r', '\n');
        if (head.StartsWith((ReadOnlySpan<byte>)[0xFF, 0x0A]) || text.Contains("JXL "))
            return new(ImageFault.Unsupported, "is a JPEG XL picture, which is not read. Convert it to PNG or JPEG.");
        if (text.StartsWith("8BPS")) return new(ImageFault.Unsupported, "is a Photoshop file, which is not read. Export it as PNG.");
        if (head.IndexOfAnyExcept((byte)0) < 0) return new(ImageFault.NotAnImage, "holds only zero bytes: a damaged disk or download. Replace the file.");
        if (text.StartsWith("<svg") || text.StartsWith("<?xml")) return new(ImageFault.NotAnImage, "is vector graphics or XML, not a picture. Render it to PNG.");
        if (text.StartsWith('<')) return new(ImageFault.NotAnImage, "is a web page saved under a picture's name. Download the picture itself.");
        return new(ImageFault.NotAnImage, head.IndexOfAnyExceptInRange((byte)0x09, (byte)0x7E) < 0
            ? "is a text file, not a picture. Remove it or replace it."
            : "is not a picture of any format that is read (PNG, JPEG, WebP, BMP, GIF, TIFF, AVIF). Remove it or convert it.");
    }

    private static byte[] Bytes(Stream stream, long at, int count)
    {
        stream.Position = at;
        var bytes = new byte[count];
        stream.ReadExactly(bytes);
        return bytes;
    }

    private static int U16(Stream stream, long at, bool little)
    {
        var bytes = Bytes(stream, at, 2);
        return little ? BinaryPrimitives.ReadUInt16LittleEndian(bytes) : BinaryPrimitives.ReadUInt16BigEndian(bytes);
    }

    private static int Side(uint value) => (int)Math.Min(value, int.MaxValue);
}
