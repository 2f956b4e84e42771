using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using ICSharpCode.SharpZipLib.Checksum;
using Levain.Core;

namespace Levain.Formats.Pickles;

/// <summary>One file in a zip archive.</summary>
/// <param name="Offset">Where its (packed) bytes begin in the archive.</param>
internal sealed record ZipEntry(string Name, bool Deflated, uint Crc, long PackedBytes, long Bytes, long Offset);

/// <summary>
/// The directory of a zip archive, read so that entries can be mapped where they lie and none of its claims is believed unchecked.
/// </summary>
/// <remarks>PKWARE APPNOTE 4.3 with zip64; no encryption, no spanning. The runtime's own reader tells neither offsets nor checksums.</remarks>
internal sealed class ZipDirectory
{
    private const int EndBytes = 22, LocatorBytes = 20, End64Bytes = 56, CentralBytes = 46, LocalBytes = 30;
    private const uint EndMark = 0x06054b50, LocatorMark = 0x07064b50, End64Mark = 0x06064b50, CentralMark = 0x02014b50, LocalMark = 0x04034b50;
    private const ushort Zip64Field = 1;
    private const int MaxComment = ushort.MaxValue, MaxDirectoryBytes = 64 << 20;
    private const ushort Encrypted = 1;
    private const int ReadBytes = 1 << 20;

    private readonly Dictionary<string, ZipEntry> entries = new(StringComparer.Ordinal);

    /// <summary>Files by name; folders are left out.</summary>
    public IReadOnlyDictionary<string, ZipEntry> Entries => entries;

    /// <exception cref="PickleFault">The archive is cut short, damaged or misleading.</exception>
    public static ZipDirectory Read(Stream stream)
    {
        var directory = new ZipDirectory();
        var (count, offset, length) = FindDirectory(stream);
        if (length > MaxDirectoryBytes) throw new PickleFault(CheckpointFault.TooLarge, $"its table of contents takes {length:N0} bytes.");
        var table = ReadAt(stream, offset, (int)length);
        var at = 0;
        for (var i = 0L; i < count; i++) at += directory.AddEntry(stream, table, at, offset);
        return directory;
    }

    /// <summary>A whole entry, unpacked and checked.</summary>
    /// <exception cref="PickleFault">It does not unpack to its size, or its checksum differs.</exception>
    public static byte[] Unpack(Stream stream, ZipEntry entry)
    {
        var bytes = new byte[entry.Bytes];
        var filled = 0;
        Unpack(stream, entry, part =>
        {
            part.CopyTo(bytes.AsSpan(filled));
            filled += part.Length;
        });
        return bytes;
    }

    /// <summary>Hands an entry's unpacked bytes on in pieces and checks them.</summary>
    /// <exception cref="PickleFault">It does not unpack to its size, or its checksum differs.</exception>
    public static void Unpack(Stream stream, ZipEntry entry, PartOfEntry take)
    {
        var crc = new Crc32();
        var buffer = new byte[Math.Clamp(entry.Bytes, 1, ReadBytes)];
        stream.Position = entry.Offset;
        using var inflate = entry.Deflated ? new DeflateStream(stream, CompressionMode.Decompress, leaveOpen: true) : null;
        try
        {
            for (var left = entry.Bytes; left > 0;)
            {
                var count = (inflate ?? stream).Read(buffer, 0, (int)Math.Min(left, buffer.Length));
                if (count == 0) throw Bad($"'{entry.Name}' is shorter than announced.");
                crc.Update(new ArraySegment<byte>(buffer, 0, count));
                take(buffer.AsSpan(0, count));
                left -= count;
            }
            if (inflate is not null && inflate.Read(buffer, 0, 1) > 0) throw Bad($"'{entry.Name}' is longer than announced.");
        }
        catch (InvalidDataException)
        {
            throw Bad($"'{entry.Name}' does not unpack.");
        }
        if ((uint)crc.Value != entry.Crc) throw Bad($"'{entry.Name}' has another checksum than it was written with: the file is damaged. Download it again.");
    }

    private static (long Count, long Offset, long Length) FindDirectory(Stream stream)
    {
        var tailBytes = (int)Math.Min(stream.Length, EndBytes + MaxComment);
        var tailStart = stream.Length - tailBytes;
        var tail = ReadAt(stream, tailStart, tailBytes);
        for (var at = tail.Length - EndBytes; at >= 0; at--)
        {
            if (U32(tail, at) != EndMark || at + EndBytes + U16(tail, at + 20) != tail.Length) continue;
            long count = U16(tail, at + 10), length = U32(tail, at + 12), offset = U32(tail, at + 16);
            var end = tailStart + at;
            if (end >= LocatorBytes && ReadAt(stream, end - LocatorBytes, LocatorBytes) is var locator && U32(locator, 0) == LocatorMark)
            {
                // torch writes the zip64 record always; its numbers count, and the table ends where it begins.
                end = I64(locator, 8);
                if (end < 0 || end > stream.Length - End64Bytes) throw Cut();
                var end64 = ReadAt(stream, end, End64Bytes);
                if (U32(end64, 0) != End64Mark) throw Bad("the zip64 record is not where it should be.");
                (count, length, offset) = (I64(end64, 32), I64(end64, 40), I64(end64, 48));
            }
            if (offset < 0 || length < 0 || offset > end || length != end - offset || count < 0 || count > length / CentralBytes) throw Bad("the table of contents does not fit its file.");
            return (count, offset, length);
        }
        throw Cut();
    }

    private int AddEntry(Stream stream, byte[] table, int at, long directoryStart)
    {
        if (at + CentralBytes > table.Length || U32(table, at) != CentralMark) throw Bad("the table of contents is damaged.");
        int nameBytes = U16(table, at + 28), extraBytes = U16(table, at + 30), commentBytes = U16(table, at + 32);
        var total = CentralBytes + nameBytes + extraBytes + commentBytes;
        if (at + total > table.Length) throw Bad("the table of contents is damaged.");
        var name = Encoding.UTF8.GetString(table, at + CentralBytes, nameBytes);
        CheckName(name);
        if ((U16(table, at + 8) & Encrypted) != 0) throw Bad($"'{name}' is encrypted.");
        var method = U16(table, at + 10);
        if (method is not (0 or 8)) throw Bad($"'{name}' is packed by method {method}; 0 and 8 are known.");
        long packed = U32(table, at + 20), bytes = U32(table, at + 24), local = U32(table, at + 42);
        ReadZip64(table.AsSpan(at + CentralBytes + nameBytes, extraBytes), ref bytes, ref packed, ref local);
        if (name.EndsWith('/')) return total;

        if (local < 0 || local > directoryStart - LocalBytes) throw Bad($"'{name}' lies outside the archive.");
        var header = ReadAt(stream, local, LocalBytes);
        if (U32(header, 0) != LocalMark) throw Bad($"'{name}' is not where the table of contents says.");
        var start = local + LocalBytes + U16(header, 26) + U16(header, 28);
        if (packed < 0 || bytes < 0 || start > directoryStart || packed > directoryStart - start || (method == 0 && packed != bytes)) throw Bad($"'{name}' does not fit the archive.");
        if (!entries.TryAdd(name, new(name, method == 8, U32(table, at + 16), packed, bytes, start))) throw Bad($"'{name}' is there twice.");
        return total;
    }

    /// <summary>Sizes beyond 4 GiB stand in an extra field, in a fixed order, only those that did not fit.</summary>
    private static void ReadZip64(ReadOnlySpan<byte> extra, ref long bytes, ref long packed, ref long local)
    {
        while (extra.Length >= 4)
        {
            var (id, length) = (BinaryPrimitives.ReadUInt16LittleEndian(extra), BinaryPrimitives.ReadUInt16LittleEndian(extra[2..]));
            if (4 + length > extra.Length) return; // torch pads with fields of its own
            var field = extra.Slice(4, length);
            if (id == Zip64Field)
            {
                Take(ref bytes, ref field);
                Take(ref packed, ref field);
                Take(ref local, ref field);
                return;
            }
            extra = extra[(4 + length)..];
        }

        static void Take(ref long value, ref ReadOnlySpan<byte> field)
        {
            if (value != uint.MaxValue || field.Length < 8) return;
            value = BinaryPrimitives.ReadInt64LittleEndian(field);
            field = field[8..];
        }
    }

    /// <summary>Nothing is ever unpacked to disk; an archive with such names is made to deceive another program.</summary>
    private static void CheckName(string name)
    {
        if (name.StartsWith('/') || name.Contains('\\') || name.Contains('\0') || name.Contains(':') || name.Split('/').Contains(".."))
            throw Bad($"'{name}' points outside the archive; no real model does.");
    }

    private static byte[] ReadAt(Stream stream, long offset, int count)
    {
        var bytes = new byte[count];
        stream.Position = offset;
        stream.ReadExactly(bytes);
        return bytes;
    }

    private static ushort U16(byte[] bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(at));

    private static uint U32(byte[] bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at));

    private static long I64(byte[] bytes, int at) => BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(at));

    private static PickleFault Cut() => new(CheckpointFault.Truncated, "the zip archive is cut short: the table of contents is missing. Download it again.");

    private static PickleFault Bad(string what) => new(CheckpointFault.BadZip, $"in the zip archive, {what}");
}

/// <summary>Takes the next bytes of an entry.</summary>
internal delegate void PartOfEntry(ReadOnlySpan<byte> part);
