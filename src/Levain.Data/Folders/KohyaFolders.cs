using System.Numerics;
using Levain.Core;

namespace Levain.Data;

/// <summary>Folders named <c>repeats_class tokens</c>, as kohya's trainers take them.</summary>
public static class KohyaFolders
{
    /// <summary>Reads repeats and class tokens from a folder name such as <c>10_sks cat</c>; null where it does not begin with a number.</summary>
    public static (BigInteger Repeats, string ClassTokens)? Parse(string name)
    {
        var parts = name.Split('_');
        return PythonText.TryInt(parts[0], out var repeats) ? (repeats, string.Join('_', parts[1..])) : null;
    }

    /// <summary>The subsets in the sub-folders of <paramref name="folder"/>, by name. A folder that itself holds pictures and no such sub-folder becomes one subset.</summary>
    /// <param name="folder">Folder of folders.</param>
    /// <param name="template">Options of every subset.</param>
    /// <param name="compat">Which files are pictures; under <see cref="Compat.LooseRegPassedOver"/> regularization pictures lie in sub-folders only.</param>
    /// <param name="ignored">Receives what is left out, with the reason.</param>
    /// <exception cref="DatasetException">There is no such folder.</exception>
    public static IReadOnlyList<SubsetOptions> Subsets(string folder, SubsetOptions template, Compat compat, Action<IgnoredPath> ignored)
    {
        if (!Directory.Exists(folder))
            throw new DatasetException(folder, File.Exists(folder) ? "is a file. Name the folder that holds the pictures." : "does not exist. Name the folder that holds the pictures.");
        var subsets = new List<SubsetOptions>();
        foreach (var path in Directory.EnumerateDirectories(folder).Order(PythonText.ByCodePoint))
        {
            var name = Path.GetFileName(path);
            if (name.StartsWith('.')) continue;
            if (Parse(name) is not var (repeats, tokens))
                ignored(new(path, "its name does not begin with a number of repeats, such as 10_sks cat"));
            else if (repeats < 1)
                ignored(new(path, $"its name asks for {repeats} repeats"));
            else
                subsets.Add(template with { ImageDir = path, NumRepeats = (long)BigInteger.Min(repeats, long.MaxValue), ClassTokens = tokens });
        }
        var loose = ImageNames.In(folder, compat);
        if (subsets.Count == 0 && loose.Count > 0 && !(template.IsReg && compat.LooseRegPassedOver)) return [Single(folder, template)];
        foreach (var path in loose) ignored(new(path, "it lies beside the numbered folders instead of in one"));
        return subsets;
    }

    // The folder of pictures itself was named: its own name may hold the repeats.
    private static SubsetOptions Single(string folder, SubsetOptions template)
    {
        var name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)));
        return Parse(name) is var (repeats, tokens) && repeats >= 1
            ? template with { ImageDir = folder, NumRepeats = (long)BigInteger.Min(repeats, long.MaxValue), ClassTokens = tokens }
            : template with { ImageDir = folder };
    }
}
