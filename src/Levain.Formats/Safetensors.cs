using System.Buffers.Binary;
using System.Text;
using Levain.Core;
using static TorchSharp.torch;

namespace Levain.Formats;

/// <summary>Writes safetensors files byte for byte as the reference library lays them out: larger types first, then by name, header padded to 8 bytes.</summary>
public static class Safetensors
{
    /// <summary>Writes the file whole or not at all.</summary>
    /// <param name="path">Target; an existing file is replaced at the end.</param>
    /// <param name="tensors">Names and values, on any device; not disposed.</param>
    /// <param name="metadata">Texts for the header, in the order given; null leaves the table out.</param>
    /// <exception cref="ArgumentException">A name appears twice, or is the reserved <c>__metadata__</c>.</exception>
    public static void Write(string path, IReadOnlyList<KeyValuePair<string, Tensor>> tensors, IReadOnlyDictionary<string, string>? metadata) =>
        AtomicFile.Write(path, stream => Write(stream, tensors, metadata));

    /// <inheritdoc cref="Write(string, IReadOnlyList{KeyValuePair{string, Tensor}}, IReadOnlyDictionary{string, string}?)"/>
    /// <param name="stream">Where the bytes go; only written to, never sought.</param>
    public static void Write(Stream stream, IReadOnlyList<KeyValuePair<string, Tensor>> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        // Compared by UTF-8 bytes, as the reference does.
        var sorted = tensors.Select(t => (Name: Encoding.UTF8.GetBytes(t.Key), Key: t.Key, t.Value))
            .OrderByDescending(t => Dtypes.Rank(t.Value.dtype))
            .ThenBy(t => t.Name, Comparer<byte[]>.Create((a, b) => a.AsSpan().SequenceCompareTo(b)))
            .Select(t => (Name: t.Key, t.Value)).ToList();
        var header = Encoding.UTF8.GetBytes(Header(sorted, metadata));
        Span<byte> prefix = stackalloc byte[SafetensorsHeader.Prefix];
        BinaryPrimitives.WriteUInt64LittleEndian(prefix, (ulong)header.Length);
        stream.Write(prefix);
        stream.Write(header);
        foreach (var (_, tensor) in sorted) ReadValues(tensor, stream.Write);
    }

    private static string Header(List<(string Name, Tensor Value)> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        var text = new StringBuilder("{");
        if (metadata is not null)
        {
            var pairs = metadata.Select(pair => $"{JsonText.Quote(pair.Key)}:{JsonText.Quote(pair.Value)}");
            text.Append("\"__metadata__\":{").AppendJoin(',', pairs).Append('}');
        }
        var names = new HashSet<string>(StringComparer.Ordinal) { "__metadata__" };
        var offset = 0L;
        foreach (var (name, value) in tensors)
        {
            if (!names.Add(name)) throw new ArgumentException($"'{name}' is reserved or appears twice.", nameof(tensors));
            var end = offset + value.numel() * Dtypes.Size(value.dtype);
            text.Append(text.Length > 1 ? "," : "").Append(JsonText.Quote(name))
                .Append($":{{\"dtype\":\"{Dtypes.Name(value.dtype)}\",\"shape\":[{string.Join(',', value.shape)}],\"data_offsets\":[{offset},{end}]}}");
            offset = end;
        }
        text.Append('}');
        var bytes = Encoding.UTF8.GetByteCount(text.ToString());
        return text.Append(' ', (8 - bytes % 8) % 8).ToString();
    }

    /// <summary>Hands a tensor's values on in pieces, dense and in order.</summary>
    internal static void ReadValues(Tensor tensor, BytesOfTensor take)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var dense = tensor.detach().cpu().contiguous();
        foreach (var part in DenseBytes.Parts(dense))
        {
            using (part) take(part.bytes);
        }
    }
}

/// <summary>Takes the next bytes of a tensor.</summary>
internal delegate void BytesOfTensor(ReadOnlySpan<byte> bytes);

/// <summary>JSON text spelt as serde and Python with <c>ensure_ascii=False</c> spell it: only quotes, backslashes and control characters are escaped.</summary>
internal static class JsonText
{
    public static string Quote(string text)
    {
        var quoted = new StringBuilder(text.Length + 2).Append('"');
        foreach (var c in text)
        {
            _ = c switch
            {
                '"' => quoted.Append("\\\""),
                '\\' => quoted.Append(@"\\"),
                '\n' => quoted.Append(@"\n"),
                '\r' => quoted.Append(@"\r"),
                '\t' => quoted.Append(@"\t"),
                '\b' => quoted.Append(@"\b"),
                '\f' => quoted.Append(@"\f"),
                < ' ' => quoted.Append($"\\u{(int)c:x4}"),
                _ => quoted.Append(c),
            };
        }
        return quoted.Append('"').ToString();
    }
}
