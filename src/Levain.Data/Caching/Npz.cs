using System.Buffers.Binary;
using System.Globalization;
using System.IO.Compression;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;
using Levain.Core;

namespace Levain.Data;

/// <summary>numpy's archive of arrays: a zip file of <c>.npy</c> entries. Just what latent caches need: little-endian numbers in C order.</summary>
/// <remarks>https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html</remarks>
public static partial class Npz
{
    private const int Alignment = 64, PreambleBytes = 10;
    private static readonly byte[] Magic = [0x93, (byte)'N', (byte)'U', (byte)'M', (byte)'P', (byte)'Y', 1, 0];

    /// <summary>Reads all arrays, by name.</summary>
    /// <exception cref="InvalidDataException">The file is damaged, or holds arrays of another kind.</exception>
    public static IReadOnlyDictionary<string, NpyArray> Read(string path)
    {
        using var archive = ZipFile.OpenRead(path);
        var arrays = new Dictionary<string, NpyArray>();
        foreach (var entry in archive.Entries.Where(entry => entry.FullName.EndsWith(".npy", StringComparison.Ordinal)))
        {
            using var stream = entry.Open();
            using var memory = new MemoryStream();
            stream.CopyTo(memory);
            arrays[entry.FullName[..^".npy".Length]] = Parse(memory.GetBuffer().AsSpan(0, (int)memory.Length));
        }
        return arrays;
    }

    /// <summary>Writes a file whole or not at all, uncompressed as <c>numpy.savez</c> does.</summary>
    public static void Write(string path, IEnumerable<KeyValuePair<string, NpyArray>> arrays) => AtomicFile.Write(path, stream =>
    {
        using var archive = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true);
        foreach (var (name, array) in arrays)
        {
            using var entry = archive.CreateEntry(name + ".npy", CompressionLevel.NoCompression).Open();
            entry.Write(Format(array));
        }
    });

    private static NpyArray Parse(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < PreambleBytes || !bytes[..6].SequenceEqual(Magic.AsSpan(0, 6))) throw new InvalidDataException("An entry is no numpy array.");
        var wide = bytes[6] >= 2;
        var length = wide ? BinaryPrimitives.ReadInt32LittleEndian(bytes[8..]) : BinaryPrimitives.ReadUInt16LittleEndian(bytes[8..]);
        var start = wide ? 12 : PreambleBytes;
        if (length < 0 || start + length > bytes.Length) throw new InvalidDataException("A numpy array is cut off.");
        var header = Header().Match(Encoding.Latin1.GetString(bytes.Slice(start, length)));
        if (!header.Success || header.Groups["order"].Value != "False") throw new InvalidDataException("A numpy array has a layout that is not read.");
        var shape = header.Groups["shape"].Value.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)
            .Select(side => long.Parse(side, CultureInfo.InvariantCulture)).ToArray();
        var array = new NpyArray(header.Groups["type"].Value, shape, bytes[(start + length)..].ToArray());
        if (array.Data.Length != array.Count * array.ItemBytes) throw new InvalidDataException("A numpy array is cut off.");
        return array;
    }

    private static byte[] Format(NpyArray array)
    {
        var shape = array.Shape.Count == 1 ? $"({array.Shape[0]},)" : $"({string.Join(", ", array.Shape)})";
        var header = $"{{'descr': '{array.Type}', 'fortran_order': False, 'shape': {shape}, }}";
        header = header.PadRight((PreambleBytes + header.Length + Alignment) / Alignment * Alignment - PreambleBytes - 1) + '\n';
        var length = new byte[2];
        BinaryPrimitives.WriteUInt16LittleEndian(length, (ushort)header.Length);
        return [.. Magic, .. length, .. Encoding.Latin1.GetBytes(header), .. array.Data];
    }

    [GeneratedRegex(@"'descr':\s*'(?<type>[^']+)'.*'fortran_order':\s*(?<order>\w+).*'shape':\s*\((?<shape>[^)]*)\)")]
    private static partial Regex Header();
}

/// <summary>One numpy array.</summary>
/// <param name="Type">numpy's name of the element: <c>&lt;f4</c>, <c>&lt;i8</c>, …</param>
/// <param name="Shape">Sides, slowest first.</param>
/// <param name="Data">Little-endian elements.</param>
public sealed record NpyArray(string Type, IReadOnlyList<long> Shape, byte[] Data)
{
    /// <summary>Number of elements.</summary>
    public long Count => Shape.Aggregate(1L, (product, side) => product * side);

    /// <summary>Bytes of an element.</summary>
    public int ItemBytes => int.Parse(Type.AsSpan(2), CultureInfo.InvariantCulture);

    /// <summary>An array of 32-bit floats.</summary>
    public static NpyArray Of(ReadOnlySpan<float> values, params long[] shape) => new("<f4", shape, MemoryMarshal.AsBytes(values).ToArray());

    /// <summary>An array of 64-bit floats.</summary>
    public static NpyArray Of(ReadOnlySpan<double> values, params long[] shape) => new("<f8", shape, MemoryMarshal.AsBytes(values).ToArray());

    /// <summary>An array of 64-bit integers.</summary>
    public static NpyArray Of(ReadOnlySpan<long> values, params long[] shape) => new("<i8", shape, MemoryMarshal.AsBytes(values).ToArray());

    /// <summary>An array of bytes.</summary>
    public static NpyArray Of(byte[] values) => new("|u1", [values.Length], values);

    /// <summary>The elements as 32-bit floats.</summary>
    /// <exception cref="InvalidDataException">They are of a kind that is not read.</exception>
    public float[] ToFloats() => Type switch
    {
        "<f4" => MemoryMarshal.Cast<byte, float>(Data).ToArray(),
        "<f2" => [.. MemoryMarshal.Cast<byte, Half>(Data).ToArray().Select(value => (float)value)],
        "<f8" => [.. MemoryMarshal.Cast<byte, double>(Data).ToArray().Select(value => (float)value)],
        "<i8" => [.. MemoryMarshal.Cast<byte, long>(Data).ToArray().Select(value => (float)value)],
        _ => throw new InvalidDataException($"A numpy array has elements of type '{Type}', which is not read."),
    };
}
