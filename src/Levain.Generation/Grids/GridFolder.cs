using System.Text.Encodings.Web;
using System.Text.Json;
using Levain.Core;
using SkiaSharp;

namespace Levain.Generation;

/// <summary>What a grid knows about one of its pictures.</summary>
/// <param name="X">Column.</param>
/// <param name="Y">Row.</param>
/// <param name="Z">Sub-grid.</param>
/// <param name="File">File name in the folder.</param>
/// <param name="Key">Hash of everything the picture depends on.</param>
/// <param name="Infotext">The picture's infotext.</param>
/// <param name="Networks">What each network did.</param>
/// <param name="Notes">What the user should know.</param>
public sealed record GridEntry(int X, int Y, int Z, string File, string Key, string Infotext, IReadOnlyList<NetworkEffect> Networks, IReadOnlyList<string> Notes);

/// <summary>An axis as a grid's JSON tells it.</summary>
public sealed record GridAxisEntry(string Name, IReadOnlyList<string> Values, IReadOnlyList<string> Legends);

/// <summary>A grid's JSON: its axes and its pictures so far.</summary>
public sealed record GridIndex(GridAxisEntry X, GridAxisEntry Y, GridAxisEntry Z, IReadOnlyList<GridEntry> Cells);

/// <summary>Where a grid keeps its pictures while it is drawn: a folder, and the JSON that tells about them. A grid that was stopped goes on with what lies there.</summary>
/// <param name="folder">The folder of the pictures.</param>
/// <param name="json">The JSON.</param>
public sealed class GridFolder(string folder, string json)
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, WriteIndented = true };
    private readonly Dictionary<string, GridEntry> earlier = [];

    /// <summary>Reads what an earlier run left; a damaged JSON counts as none.</summary>
    public void Open()
    {
        Directory.CreateDirectory(folder);
        earlier.Clear();
        if (!File.Exists(json)) return;
        try
        {
            foreach (var entry in JsonSerializer.Deserialize<GridIndex>(File.ReadAllBytes(json), Json)?.Cells ?? []) earlier[entry.Key] = entry;
        }
        catch (JsonException)
        {
            // whoever cut it short has it written anew
        }
    }

    /// <summary>A picture that lies here already, and what is known about it; null where it must be drawn.</summary>
    /// <param name="key">Hash of everything it depends on.</param>
    public (GridEntry Entry, Picture Picture)? Find(string key)
    {
        if (!earlier.TryGetValue(key, out var entry) || Path.GetFileName(entry.File) != entry.File) return null;
        using var bitmap = SKBitmap.Decode(Path.Combine(folder, entry.File));
        if (bitmap is null) return null;
        var rgb = new byte[bitmap.Width * bitmap.Height * 3];
        var at = 0;
        foreach (var pixel in bitmap.Pixels) (rgb[at++], rgb[at++], rgb[at++]) = (pixel.Red, pixel.Green, pixel.Blue);
        return (entry, new(new PixelSize(bitmap.Width, bitmap.Height), rgb));
    }

    /// <summary>Keeps a picture.</summary>
    public void Save(GridEntry entry, Picture picture) => PngFile.Write(Path.Combine(folder, entry.File), picture, entry.Infotext);

    /// <summary>Writes the JSON.</summary>
    public void Write(GridIndex index) => AtomicFile.Write(json, stream => JsonSerializer.Serialize(stream, index, Json));
}
