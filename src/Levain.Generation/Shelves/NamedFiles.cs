using Levain.Core;
using Levain.Formats;

namespace Levain.Generation;

/// <summary>Network or hypernetwork files of folders by the names tags use: the file name without extension, or the name the trainer was given.</summary>
/// <remarks>
/// AUTOMATIC1111's webui, <c>extensions-builtin/Lora/networks.py</c>: of two files of one name the later counts; an alias (<c>ss_output_name</c>) that another
/// file uses too, or that is <c>none</c>, names nothing, and the files go by their file names.
/// </remarks>
internal sealed class NamedFiles(IReadOnlyList<string> folders, IReadOnlyList<string> extensions, string option)
{
    private const string AliasKey = "ss_output_name";
    private Dictionary<string, string>? byName, byAlias;
    private HashSet<string> shared = [];

    /// <summary>The file of a name.</summary>
    /// <param name="tag">The tag, for messages.</param>
    /// <exception cref="SettingsException">No file is called so, even after looking again; the message names near ones.</exception>
    public string Find(string name, string tag)
    {
        if (byName is null || Look(name) is null) Index();           // files may have come since
        if (Look(name) is { } path) return path;
        var names = byName!.Keys.Concat(byAlias!.Keys).Distinct().ToList();
        throw new SettingsException([new("prompt", shared.Contains(name.ToLowerInvariant())
            ? $"{tag} names '{name}', which is the alias of several files." : $"{tag} names '{name}', which is not there.",
            folders.Count == 0 ? $"Name the folder that holds it with {option}."
            : names.Count == 0 ? $"There is no file in {string.Join(", ", folders)}."
            : Near(name, names) is { Count: > 0 } near ? $"Did you mean {string.Join(" or ", near.Select(candidate => $"'{candidate}'"))}?"
            : $"{string.Join(", ", folders)} holds {string.Join(", ", names.Order(NaturalOrder.Instance).Take(Most))}{(names.Count > Most ? $" and {names.Count - Most} more" : "")}.")]);
    }

    private const int Most = 10;

    private string? Look(string name) => (shared.Contains(name.ToLowerInvariant()) ? byName! : byAlias!).GetValueOrDefault(name);

    // Epochs and versions are told apart by what follows the name.
    private static List<string> Near(string name, List<string> names) =>
    [
        .. Nearest.To(name, names).Concat(names.Where(known => name.Length > 0 && known.Contains(name, StringComparison.OrdinalIgnoreCase)).OrderBy(known => known.Length)).Distinct().Take(3),
    ];

    private void Index()
    {
        (byName, byAlias, shared) = ([], [], ["none"]);
        foreach (var folder in folders)
        {
            if (!Directory.Exists(folder)) throw new SettingsException([new(option, $"names {folder}, which is no folder.", "Check the path.")]);
            var files = Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)
                .Where(path => extensions.Contains(Path.GetExtension(path), StringComparer.OrdinalIgnoreCase))
                .OrderBy(path => Path.GetDirectoryName(path)!, NaturalOrder.Instance).ThenBy(path => Path.GetFileName(path), NaturalOrder.Instance);
            foreach (var path in files)
            {
                var name = Path.GetFileNameWithoutExtension(path);
                var alias = AliasOf(path) ?? name;
                byName[name] = path;
                if (byAlias.ContainsKey(alias)) shared.Add(alias.ToLowerInvariant());
                byAlias[name] = path;
                byAlias[alias] = path;
            }
        }
    }

    // A damaged file is told about when it is asked for, not while others are looked for.
    private static string? AliasOf(string path)
    {
        if (!path.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase)) return null;
        try
        {
            using var file = TensorFile.Open(path);
            return file.Metadata.GetValueOrDefault(AliasKey);
        }
        catch (CheckpointException)
        {
            return null;
        }
    }
}
