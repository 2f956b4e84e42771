using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace Levain.Tests.Data;

/// <summary>Recorded arrays of bytes, integers and doubles of a safetensors file, read without the product's own reader.</summary>
internal sealed class GoldenIntegers : IDisposable
{
    private readonly byte[] bytes;
    private readonly int start;
    private readonly JsonDocument header;

    public GoldenIntegers(params string[] parts)
    {
        bytes = File.ReadAllBytes(Golden.Path(parts));
        var length = (int)BinaryPrimitives.ReadInt64LittleEndian(bytes);
        start = 8 + length;
        header = JsonDocument.Parse(bytes.AsMemory(8, length));
    }

    public IEnumerable<string> Names => header.RootElement.EnumerateObject().Select(entry => entry.Name).Where(name => name != "__metadata__");

    public string? Metadata(string name) => header.RootElement.TryGetProperty("__metadata__", out var table) && table.TryGetProperty(name, out var value) ? value.GetString() : null;

    public int[] Shape(string name) => [.. header.RootElement.GetProperty(name).GetProperty("shape").EnumerateArray().Select(side => side.GetInt32())];

    public byte[] Bytes(string name) => Data(name).ToArray();

    public int[] Ints(string name) => MemoryMarshal.Cast<byte, int>(Data(name)).ToArray();

    public long[] Longs(string name) => MemoryMarshal.Cast<byte, long>(Data(name)).ToArray();

    public float[] Floats(string name) => MemoryMarshal.Cast<byte, float>(Data(name)).ToArray();

    public double[] Doubles(string name) => MemoryMarshal.Cast<byte, double>(Data(name)).ToArray();

    public void Dispose() => header.Dispose();

    private ReadOnlySpan<byte> Data(string name)
    {
        var offsets = header.RootElement.GetProperty(name).GetProperty("data_offsets");
        return bytes.AsSpan(start + offsets[0].GetInt32(), offsets[1].GetInt32() - offsets[0].GetInt32());
    }
}
