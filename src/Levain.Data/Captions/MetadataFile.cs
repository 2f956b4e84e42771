using System.Text.Json;
using Levain.Core;

namespace Levain.Data;

/// <summary>A picture before it is looked at.</summary>
/// <param name="Key">What it is called within its dataset: in a metadata file as it stands there, else its path.</param>
/// <param name="Path">The file.</param>
/// <param name="Caption">Text of a metadata file.</param>
/// <param name="Tags">Its tags alone.</param>
/// <param name="Size">Size that the metadata file gives it, px.</param>
internal sealed record MetadataEntry(string Key, string Path, string? Caption = null, string? Tags = null, PixelSize? Size = null);

/// <summary>kohya's metadata files: a JSON object of pictures, or JSONL with one picture a line.</summary>
internal static class MetadataFile
{
    /// <summary>All entries, the longest keys first, as kohya sorts them. Keys are paths, absolute or below the image folder; a key without ending finds its picture.</summary>
    /// <exception cref="DatasetException">There is no such file, it is no JSON, or a picture is missing.</exception>
    public static IReadOnlyList<MetadataEntry> Read(string file, SubsetOptions options, Compat compat)
    {
        if (!File.Exists(file)) throw new DatasetException(file, "does not exist. Name the metadata file.");
        try
        {
            // A key that is repeated keeps its first place and its last value.
            var entries = new OrderedDictionary<string, JsonElement>();
            foreach (var (key, value) in Entries(file)) entries[key] = value;
            return [.. entries.OrderByDescending(entry => entry.Key.EnumerateRunes().Count()).Select(entry => new MetadataEntry(entry.Key, Resolve(entry.Key, file, options),
                MetadataCaption.Join(Text(entry.Value, "caption"), Text(entry.Value, "tags"), options.CaptionSeparator, options.EnableWildcard, compat),
                Tags(entry.Value, options), Size(entry.Key, entry.Value, file)))];
        }
        catch (JsonException e)
        {
            throw new DatasetException(file, $"is not JSON: {e.Message} Write it anew.", e);
        }
    }

    private static IEnumerable<(string Key, JsonElement Value)> Entries(string file)
    {
        if (Path.GetExtension(file).Equals(".jsonl", StringComparison.OrdinalIgnoreCase))
            return File.ReadLines(file).Where(line => line.Trim().Length > 0).Select(line => JsonElement.Parse(line)).Select(line => (line.GetProperty("image_path").GetString()!, line));
        return JsonElement.Parse(File.ReadAllBytes(file)).EnumerateObject().Select(entry => (entry.Name, entry.Value));
    }

    private static string Resolve(string key, string file, SubsetOptions options)
    {
        var path = options.ImageDir is { } folder ? Path.Combine(folder, key) : key;
        if (File.Exists(path)) return path;
        return ImageNames.Extensions.SelectMany(extension => new[] { path + extension, path + extension.ToUpperInvariant() }).FirstOrDefault(File.Exists)
            ?? throw new DatasetException(file, $"names the picture '{key}', which is not at {path}. Correct the entry or image_dir.");
    }

    private static string? Tags(JsonElement entry, SubsetOptions options) =>
        Text(entry, "tags") is { } tags ? options.EnableWildcard ? tags.Replace("\n", options.CaptionSeparator) : tags : null;

    private static PixelSize? Size(string key, JsonElement entry, string file)
    {
        if (!entry.TryGetProperty("image_size", out var size) || size.ValueKind is JsonValueKind.Null) return null;
        if (size.ValueKind is JsonValueKind.Array && size.GetArrayLength() == 2 && size[0].TryGetInt32(out var width) && size[1].TryGetInt32(out var height) && width > 0 && height > 0)
            return new(width, height);
        throw new DatasetException(file, $"gives '{key}' the image_size {size.GetRawText()}. Write [width, height] in px, or leave it out.");
    }

    private static string? Text(JsonElement entry, string name) =>
        entry.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
