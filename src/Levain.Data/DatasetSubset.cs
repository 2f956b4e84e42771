namespace Levain.Data;

/// <summary>A subset as it is used: options, name and number of pictures.</summary>
/// <param name="Options">What was asked for.</param>
/// <param name="Name">Name of its folder or metadata file, as metadata of network files mention it.</param>
/// <param name="ImageCount">Pictures, before balancing.</param>
/// <param name="TagFrequency">How often each tag stands in its captions, in order of first appearance; tags in lower case.</param>
public sealed record DatasetSubset(SubsetOptions Options, string Name, int ImageCount, IReadOnlyList<KeyValuePair<string, int>> TagFrequency)
{
    /// <summary>Counts the tags of captions: split at commas, stripped, in lower case.</summary>
    public static IReadOnlyList<KeyValuePair<string, int>> CountTags(IEnumerable<string> captions)
    {
        var tags = captions.SelectMany(caption => caption.Split(',')).Select(tag => PythonText.Strip(tag).ToLowerInvariant()).Where(tag => tag.Length > 0);
        var counts = new OrderedDictionary<string, int>();
        foreach (var tag in tags) counts[tag] = counts.GetValueOrDefault(tag) + 1;
        return [.. counts];
    }
}
