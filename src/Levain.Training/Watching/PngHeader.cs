using System.Buffers.Binary;
using Levain.Core;

namespace Levain.Training.Watching;

/// <summary>Reads the size of a PNG from its first bytes (PNG specification, section 11.2.2).</summary>
internal static class PngHeader
{
    private const int SizeAt = 16, Length = 24;
    private static ReadOnlySpan<byte> Signature => [0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A];

    /// <summary>Width and height, or null where the file is not a PNG.</summary>
    public static PixelSize? Read(string path)
    {
        using var stream = File.OpenRead(path);
        Span<byte> header = stackalloc byte[Length];
        if (stream.ReadAtLeast(header, Length, throwOnEndOfStream: false) < Length || !header.StartsWith(Signature)) return null;
        return new(BinaryPrimitives.ReadInt32BigEndian(header[SizeAt..]), BinaryPrimitives.ReadInt32BigEndian(header[(SizeAt + sizeof(int))..]));
    }
}
