using Levain.Core;

namespace Levain.Data;

/// <summary>Which file names are pictures, and in which order they come.</summary>
public static class ImageNames
{
    private static readonly string[] Kohya = [".png", ".jpg", ".jpeg", ".webp", ".bmp"];
    private static readonly string[] All = [.. Kohya, ".gif", ".tif", ".tiff", ".avif"];

    /// <summary>Endings that are read, in lower case.</summary>
    public static IReadOnlyList<string> Extensions => All;

    /// <summary>Whether a file name is that of a picture. Hidden files are none.</summary>
    /// <param name="name">File name without folder.</param>
    /// <param name="compat">Under <see cref="Compat.NarrowImageNames"/> only kohya's five endings, all in lower or all in upper case.</param>
    public static bool IsPicture(string name, Compat compat)
    {
        if (name.StartsWith('.')) return false;
        var extension = Path.GetExtension(name);
        return compat.NarrowImageNames
            ? Kohya.Contains(extension) || Kohya.Contains(extension.ToLowerInvariant()) && extension == extension.ToUpperInvariant()
            : All.Contains(extension.ToLowerInvariant());
    }

    /// <summary>The pictures directly in a folder, by name.</summary>
    public static IReadOnlyList<string> In(string folder, Compat compat) =>
        [.. Directory.EnumerateFiles(folder).Where(path => IsPicture(Path.GetFileName(path), compat)).Order(PythonText.ByCodePoint)];
}
