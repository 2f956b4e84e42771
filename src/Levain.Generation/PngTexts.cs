using System.Buffers.Binary;
using System.Globalization;
using System.IO.Compression;
using System.Text;
using System.Text.Json;
using Levain.Core;
using Levain.Diffusion;

namespace Levain.Generation;

/// <summary>What PNG files say in words: the webui's <c>parameters</c>, or NovelAI's fields as the same text.</summary>
/// <remarks>https://www.w3.org/TR/png-3/, 11.3.3; AUTOMATIC1111's webui, <c>images.read_info_from_image</c>.</remarks>
internal static class PngTexts
{
    private const int MostText = 16 << 20, LeastChunk = 12;

    /// <summary>The text on how a picture was drawn; null for none.</summary>
    public static string? Infotext(ReadOnlySpan<byte> file)
    {
        var texts = Read(file);
        return texts.GetValueOrDefault(PngFile.Keyword) ?? NovelAi(texts, file);
    }

    /// <summary>All texts by keyword, up to where a file is damaged; the first of a keyword counts.</summary>
    private static Dictionary<string, string> Read(ReadOnlySpan<byte> file)
    {
        var texts = new Dictionary<string, string>(StringComparer.Ordinal);
        var rest = file[PngFile.Signature.Length..];
        while (rest.Length >= LeastChunk)
        {
            var length = BinaryPrimitives.ReadUInt32BigEndian(rest);
            if (length > rest.Length - LeastChunk) break;
            var kind = Encoding.ASCII.GetString(rest.Slice(4, 4));
            var data = rest.Slice(8, (int)length);
            if (kind is "tEXt" or "zTXt" or "iTXt" && data.IndexOf((byte)0) is > 0 and var end && Value(kind, data[(end + 1)..]) is { } value)
                texts.TryAdd(Encoding.Latin1.GetString(data[..end]), value);
            rest = rest[(int)(length + LeastChunk)..];
        }
        return texts;
    }

    /// <summary>NovelAI writes the prompt as <c>Description</c> and its settings as JSON; its pictures are drawn with clip skip 2 and a seed delta of 31337.</summary>
    private static string? NovelAi(Dictionary<string, string> texts, ReadOnlySpan<byte> file)
    {
        const int WidthAt = 16, HeightAt = 20;
        if (texts.GetValueOrDefault("Software") != "NovelAI" || !texts.TryGetValue("Comment", out var comment) || file.Length < HeightAt + sizeof(int)) return null;
        try
        {
            using var told = JsonDocument.Parse(comment);
            string of(string key) => told.RootElement.TryGetProperty(key, out var value) ? value.ToString() : "";
            var sampler = SamplerNamed(of("sampler"));
            return string.Create(CultureInfo.InvariantCulture, $"{texts.GetValueOrDefault("Description", "")}\nNegative prompt: {of("uc")}\nSteps: {of("steps")}, Sampler: {sampler}, CFG scale: {of("scale")}, Seed: {of("seed")}, ")
                + string.Create(CultureInfo.InvariantCulture, $"Size: {BinaryPrimitives.ReadInt32BigEndian(file[WidthAt..])}x{BinaryPrimitives.ReadInt32BigEndian(file[HeightAt..])}, Clip skip: 2, ENSD: 31337");
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return null;
        }
    }

    private static string SamplerNamed(string name)
    {
        const string Usual = "Euler a";
        var problems = new Problems();
        SamplerChoice.Check(name, "sampler", problems);
        return name.Length == 0 || problems.Any ? Usual : SamplerChoice.Parse(name).Sampler.Name;
    }

    private static string? Value(string kind, ReadOnlySpan<byte> data)
    {
        if (kind == "tEXt") return Encoding.Latin1.GetString(data);
        if (kind == "zTXt") return data.Length < 1 ? null : Inflated(data[1..]) is { } latin ? Encoding.Latin1.GetString(latin) : null;
        if (data.Length < 2) return null;
        var packed = data[0] == 1;
        for (var (skipped, at) = (0, 2); at < data.Length; at++)
        {
            // language and translated keyword, each ended by a zero
            if (data[at] != 0 || ++skipped < 2) continue;
            var value = data[(at + 1)..];
            return packed ? Inflated(value) is { } text ? Encoding.UTF8.GetString(text) : null : Encoding.UTF8.GetString(value);
        }
        return null;
    }

    private static byte[]? Inflated(ReadOnlySpan<byte> data)
    {
        using var zlib = new ZLibStream(new MemoryStream(data.ToArray()), CompressionMode.Decompress);
        using var plain = new MemoryStream();
        var buffer = new byte[4096];
        try
        {
            for (int read; (read = zlib.Read(buffer)) > 0 && plain.Length < MostText;) plain.Write(buffer, 0, read);
            return plain.ToArray();
        }
        catch (InvalidDataException)
        {
            return null;
        }
    }
}
