using System.Text.Json;
using Levain.Core;

namespace Levain.Data;

/// <summary>One entry of a metadata file: the picture, its text, and its tags alone.</summary>
internal sealed record MetadataEntry(string Path, string? Caption, string? Tags);

/// <summary>kohya's metadata files: a JSON object of pictures, or JSONL with one picture a line.</summary>
internal static class MetadataFile
{
    /// <summary>All entries in order. Keys are paths, absolute or below the image folder; a key without ending finds its picture.</summary>
    /// <exception cref="DatasetException">There is no such file, it is no JSON, or a picture is missing.</exception>
    public static IReadOnlyList<MetadataEntry> Read(string file, SubsetOptions options, Compat compat)
    {
        if (!File.Exists(file)) throw new DatasetException(file, "does not exist. Name the metadata file.");
        try
        {
            return [.. Entries(file).Select(entry => new MetadataEntry(Resolve(entry.Key, file, options),
                MetadataCaption.Join(Text(entry.Value, "caption"), Text(entry.Value, "tags"), options.CaptionSeparator, options.EnableWildcard, compat),
                Tags(entry.Value, options)))];
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

    private static string? Text(JsonElement entry, string name) =>
        entry.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
