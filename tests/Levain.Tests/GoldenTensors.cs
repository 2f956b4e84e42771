using System.Buffers.Binary;
using System.Text.Json;
using static TorchSharp.torch;

namespace Levain.Tests;

/// <summary>Recorded tensors, read by the shortest way there is, so that a model's test does not rest on the product's own file reader.</summary>
internal sealed class GoldenTensors
{
    private readonly byte[] bytes;
    private readonly int start;
    private readonly Dictionary<string, JsonElement> entries = [];

    /// <param name="parts">Path of a safetensors file below <c>tests/golden</c>.</param>
    public GoldenTensors(params string[] parts)
    {
        bytes = File.ReadAllBytes(Golden.Path(parts));
        var length = (int)BinaryPrimitives.ReadInt64LittleEndian(bytes);
        start = 8 + length;
        using var header = JsonDocument.Parse(bytes.AsMemory(8, length));
        foreach (var entry in header.RootElement.EnumerateObject())
        {
            if (entry.Name == "__metadata__") Metadata = entry.Value.EnumerateObject().ToDictionary(pair => pair.Name, pair => pair.Value.GetString()!);
            else entries[entry.Name] = entry.Value.Clone();
        }
    }

    /// <summary>The file's metadata.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; } = new Dictionary<string, string>();

    /// <summary>Names of all tensors.</summary>
    public IReadOnlyCollection<string> Names => entries.Keys;

    /// <summary>The metadata value of this name, parsed as JSON.</summary>
    public JsonElement Json(string name) => JsonDocument.Parse(Metadata[name]).RootElement;

    /// <summary>An array of numbers, as JSON has shapes.</summary>
    public static long[] Longs(JsonElement numbers) => [.. numbers.EnumerateArray().Select(number => number.GetInt64())];

    /// <summary>The tensor called <paramref name="name"/>, in its stored type.</summary>
    public Tensor this[string name]
    {
        get
        {
            var entry = entries[name];
            var shape = Longs(entry.GetProperty("shape"));
            var offsets = entry.GetProperty("data_offsets").EnumerateArray().Select(offset => offset.GetInt32()).ToArray();
            var dtype = entry.GetProperty("dtype").GetString() switch
            {
                "F32" => ScalarType.Float32,
                "F64" => ScalarType.Float64,
                "F16" => ScalarType.Float16,
                "I64" => ScalarType.Int64,
                "U8" => ScalarType.Byte,
                var other => throw new NotSupportedException(other),
            };
            var result = empty(shape, dtype);
            result.bytes = bytes.AsSpan(start + offsets[0], offsets[1] - offsets[0]);
            return result;
        }
    }
}
