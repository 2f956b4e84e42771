using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Unicode;
using Levain.Core;
using static TorchSharp.torch;

namespace Levain.Formats;

/// <summary>
/// The JSON at the head of a safetensors file, checked before anything is believed: https://github.com/huggingface/safetensors#format.
/// Stricter than the reference library where that is lax: no repeated names, no unknown fields, nothing before the brace.
/// </summary>
internal sealed class SafetensorsHeader
{
    /// <summary>Bytes of the length field that precedes the JSON.</summary>
    public const int Prefix = sizeof(ulong);

    private const long MaxBytes = 100_000_000;
    private const int MaxDepth = 8; // tensors need 3; deeper is a nesting bomb
    private const string MetadataKey = "__metadata__";

    private readonly string path;
    private readonly OrderedDictionary<string, string> metadata = new(StringComparer.Ordinal);
    private readonly List<(TensorEntry Entry, long Begin, long End)> tensors = [];
    private readonly HashSet<string> names = new(StringComparer.Ordinal);

    private SafetensorsHeader(string path) => this.path = path;

    /// <summary>The <c>__metadata__</c> table, in the file's order.</summary>
    public IReadOnlyDictionary<string, string> Metadata => metadata;

    /// <summary>Tensors in the header's order with their byte range behind the header.</summary>
    public IReadOnlyList<(TensorEntry Entry, long Begin, long End)> Tensors => tensors;

    /// <summary>Where the values begin in the file.</summary>
    public long DataStart { get; private set; }

    /// <exception cref="CheckpointException">The header is damaged or does not describe the file exactly.</exception>
    public static SafetensorsHeader Read(string path, Stream stream)
    {
        var header = new SafetensorsHeader(path);
        var json = header.ReadJson(stream);
        try
        {
            header.Parse(json);
        }
        catch (JsonException e)
        {
            throw header.Damaged($"its header is not JSON (byte {Prefix + (e.BytePositionInLine ?? 0)}).", e);
        }
        catch (InvalidOperationException e)
        {
            throw header.Damaged("its header holds a broken Unicode escape.", e);
        }
        header.CheckCover(stream.Length - header.DataStart);
        return header;
    }

    private byte[] ReadJson(Stream stream)
    {
        if (stream.Length < Prefix) throw Damaged($"it is {stream.Length} bytes long, shorter than any safetensors file.");
        Span<byte> prefix = stackalloc byte[Prefix];
        stream.ReadExactly(prefix);
        var length = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (length > MaxBytes) throw Damaged($"its first 8 bytes announce a header of {length:N0} bytes; at most {MaxBytes:N0} are allowed.");
        if (length > (ulong)(stream.Length - Prefix)) throw Damaged($"its header of {length:N0} bytes is cut short; the file has {stream.Length:N0}.");
        var json = new byte[length];
        stream.ReadExactly(json);
        DataStart = Prefix + (long)length;
        if (json.Length == 0 || json[0] != '{') throw Damaged("its header does not begin with '{'.");
        if (!Utf8.IsValid(json)) throw Damaged("its header is not UTF-8.");
        return json;
    }

    private void Parse(byte[] json)
    {
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = MaxDepth });
        reader.Read(); // the opening brace, seen above
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var name = reader.GetString()!;
            if (!names.Add(name)) throw Damaged("appears twice in the header.", key: name);
            reader.Read();
            if (reader.TokenType != JsonTokenType.StartObject) throw Damaged($"is described by {Kind(reader.TokenType)}, not an object.", key: name);
            if (name == MetadataKey) ParseMetadata(ref reader);
            else ParseTensor(ref reader, name);
        }
        while (reader.Read()) { } // white space may follow; anything else throws
    }

    private void ParseMetadata(ref Utf8JsonReader reader)
    {
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var key = reader.GetString()!;
            reader.Read();
            if (reader.TokenType != JsonTokenType.String) throw Damaged($"in the metadata is {Kind(reader.TokenType)}; only text is allowed.", key: key);
            if (!metadata.TryAdd(key, reader.GetString()!)) throw Damaged("appears twice in the metadata.", key: key);
        }
    }

    private void ParseTensor(ref Utf8JsonReader reader, string name)
    {
        ScalarType? dtype = null;
        long[]? shape = null, offsets = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var field = reader.GetString()!;
            reader.Read();
            switch (field)
            {
                case "dtype" when dtype is null && reader.TokenType == JsonTokenType.String:
                    var text = reader.GetString()!;
                    dtype = Dtypes.Parse(text) ?? throw Damaged($"is of type {text}, which is not known here. Known: {Dtypes.Names}.", key: name);
                    break;
                case "shape" when shape is null: shape = Integers(ref reader, name, field); break;
                case "data_offsets" when offsets is null: offsets = Integers(ref reader, name, field); break;
                default: throw Damaged($"has an unexpected or repeated field '{field}'.", key: name);
            }
        }
        if (dtype is null || shape is null || offsets is not [var begin, var end]) throw Damaged("needs dtype, shape and two data_offsets.", key: name);
        if (begin > end) throw Damaged($"ends at byte {end:N0} before it begins at {begin:N0}.", key: name);
        var bytes = ByteCount(shape, Dtypes.Size(dtype.Value)) ?? throw Damaged("has a shape too large for any file.", key: name);
        if (bytes != end - begin) throw Damaged($"needs {bytes:N0} bytes for its shape, but {end - begin:N0} are set aside.", key: name);
        tensors.Add((new(name, dtype.Value, shape, bytes), begin, end));
    }

    private long[] Integers(ref Utf8JsonReader reader, string name, string field)
    {
        if (reader.TokenType != JsonTokenType.StartArray) throw Damaged($"has {Kind(reader.TokenType)} as {field}.", key: name);
        var values = new List<long>();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.Number || reader.ValueSpan[0] == '-' || !reader.TryGetInt64(out var value))
                throw Damaged($"has something other than a whole number from 0 to {long.MaxValue} in {field}.", key: name);
            values.Add(value);
        }
        return [.. values];
    }

    /// <summary>The tensors must tile the data area: no gap, no overlap, no rest.</summary>
    private void CheckCover(long dataBytes)
    {
        var at = 0L;
        foreach (var (entry, begin, end) in tensors.OrderBy(t => t.Begin).ThenBy(t => t.End))
        {
            if (begin != at) throw Damaged($"begins at byte {begin:N0} of the values where {at:N0} is expected (gap or overlap).", key: entry.Name);
            at = end;
        }
        if (at > dataBytes) throw Damaged($"it is cut short: {at:N0} bytes of values are announced, {dataBytes:N0} are there. Download it again.", fault: CheckpointFault.Truncated);
        if (at < dataBytes) throw Damaged($"{dataBytes - at:N0} bytes follow the last tensor.");
    }

    /// <summary>Product of sides and size, or null where it overflows; a zero side does not excuse the others.</summary>
    private static long? ByteCount(long[] shape, int size)
    {
        try
        {
            var sides = shape.Where(side => side > 0).Aggregate((long)size, (product, side) => checked(product * side));
            return shape.Contains(0) ? 0 : sides;
        }
        catch (OverflowException)
        {
            return null;
        }
    }

    private static string Kind(JsonTokenType type) => type switch
    {
        JsonTokenType.StartArray => "a list",
        JsonTokenType.StartObject => "an object",
        JsonTokenType.String => "text",
        JsonTokenType.Number => "a number",
        JsonTokenType.Null => "null",
        _ => "a truth value",
    };

    private CheckpointException Damaged(string what, Exception? cause = null, string? key = null, CheckpointFault fault = CheckpointFault.BadHeader) =>
        new(path, key is null ? $"is not a sound safetensors file: {what}" : what, key, cause) { Fault = fault };
}
