using System.Buffers.Binary;

namespace Levain.Data;

/// <summary>Finds the orientation flag in an EXIF block.</summary>
/// <remarks>CIPA DC-008 (Exif 2.32), tag 0x0112 in the first directory of a TIFF structure.</remarks>
internal static class ExifOrientation
{
    private const int OrientationTag = 0x0112, EntryBytes = 12, Upright = 1;

    /// <summary>1 to 8; 1 where the block has no flag or cannot be read.</summary>
    public static int Read(ReadOnlySpan<byte> exif)
    {
        if (exif.StartsWith("Exif\0\0"u8)) exif = exif[6..];
        if (exif.Length < 8) return Upright;
        var little = exif[0] == 'I';
        if (!little && exif[0] != 'M') return Upright;
        var directory = (long)U32(exif[4..], little);
        if (directory + 2 > exif.Length) return Upright;
        var entries = exif[(int)directory..];
        var count = U16(entries, little);
        for (var i = 0; i < count && 2 + (i + 1) * EntryBytes <= entries.Length; i++)
        {
            var entry = entries[(2 + i * EntryBytes)..];
            if (U16(entry, little) == OrientationTag && U16(entry[8..], little) is >= 1 and <= 8 and var flag) return flag;
        }
        return Upright;
    }

    private static ushort U16(ReadOnlySpan<byte> bytes, bool little) =>
        little ? BinaryPrimitives.ReadUInt16LittleEndian(bytes) : BinaryPrimitives.ReadUInt16BigEndian(bytes);

    private static uint U32(ReadOnlySpan<byte> bytes, bool little) =>
        little ? BinaryPrimitives.ReadUInt32LittleEndian(bytes) : BinaryPrimitives.ReadUInt32BigEndian(bytes);
}
