using System.Text.Json;

namespace Levain.Generation;

/// <summary>The words a network was trained with, as its metadata tells: what calls its subject, and what kind of subject it is.</summary>
/// <param name="Trigger">The words that call the subject; null where nothing tells.</param>
/// <param name="Subject">The commonest booru word for a kind of subject (<c>1girl</c>); null where there is none.</param>
public sealed record TrainedWords(string? Trigger, string? Subject)
{
    // A trigger stands in nearly every caption; a word in a folder's name stands for captions that are missing.
    private const double NearlyAll = 0.9;
    private static readonly string[] Subjects = ["1girl", "1boy", "2girls", "2boys", "multiple girls", "multiple boys", "1other", "no humans", "animal", "woman", "man", "girl", "boy", "person", "cat", "dog"];

    // Words that stand in most captions of any set and call nobody.
    private static readonly string[] Common = ["solo", "looking at viewer", "simple background", "white background", "masterpiece", "best quality", "highres", "absurdres"];

    /// <summary>Reads a network's metadata.</summary>
    /// <remarks>kohya's <c>ss_tag_frequency</c> (folder → word → pictures) and <c>ss_dataset_dirs</c>, Stability's <c>modelspec.trigger_phrase</c>.</remarks>
    public static TrainedWords Of(IReadOnlyDictionary<string, string> metadata)
    {
        var counts = Counts(metadata.GetValueOrDefault("ss_tag_frequency"));
        var most = counts.Count == 0 ? 0 : counts.Values.Max();
        var subject = counts.Where(word => Subjects.Contains(word.Key)).OrderByDescending(word => word.Value).Select(word => word.Key).FirstOrDefault();
        var named = metadata.GetValueOrDefault("modelspec.trigger_phrase") is { Length: > 0 } phrase ? phrase : null;
        var frequent = counts.Where(word => word.Value >= NearlyAll * most && !Subjects.Contains(word.Key) && !Common.Contains(word.Key))
            .OrderByDescending(word => word.Value).ThenBy(word => word.Key.Length).Select(word => word.Key).FirstOrDefault();
        return new(named ?? frequent ?? Folder(metadata.GetValueOrDefault("ss_dataset_dirs")), subject);
    }

    private static Dictionary<string, long> Counts(string? json)
    {
        var counts = new Dictionary<string, long>(StringComparer.Ordinal);
        foreach (var folder in Objects(json))
            foreach (var word in folder.Value.ValueKind == JsonValueKind.Object ? folder.Value.EnumerateObject() : default)
                if (word.Value.ValueKind == JsonValueKind.Number && word.Value.TryGetInt64(out var count)) counts[word.Name.Trim()] = counts.GetValueOrDefault(word.Name.Trim()) + count;
        return counts;
    }

    // "10_sks cat": the class words.
    private static string? Folder(string? json) => Objects(json).Select(folder => folder.Name.Split('_', 2)).Where(parts => parts.Length == 2 && parts[1].Length > 0).Select(parts => parts[1]).FirstOrDefault();

    private static IEnumerable<JsonProperty> Objects(string? json)
    {
        if (string.IsNullOrEmpty(json)) return [];
        try
        {
            var root = JsonDocument.Parse(json).RootElement;
            return root.ValueKind == JsonValueKind.Object ? [.. root.EnumerateObject()] : [];
        }
        catch (JsonException)
        {
            return [];      // other programs' metadata: what cannot be read tells nothing
        }
    }
}
