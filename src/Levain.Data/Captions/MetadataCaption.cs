using Levain.Core;

namespace Levain.Data;

/// <summary>Joins the caption and the tags of a metadata entry.</summary>
public static class MetadataCaption
{
    /// <summary>The text of an entry.</summary>
    /// <param name="caption">Its <c>caption</c>; null or empty where it has none.</param>
    /// <param name="tags">Its <c>tags</c>, or null.</param>
    /// <param name="separator">What joins them.</param>
    /// <param name="everyLine">Wildcards are on: tags follow every line of the caption.</param>
    /// <param name="compat">Under <see cref="Compat.MetadataTagsLost"/> an empty caption loses its tags in this mode.</param>
    public static string Join(string? caption, string? tags, string separator, bool everyLine, Compat compat)
    {
        caption ??= "";
        if (!everyLine)
            return tags is not { Length: > 0 } ? caption : caption.Length > 0 ? caption + separator + tags : tags;
        if (tags is null) return caption;
        tags = tags.Replace("\n", separator);
        if (caption.Length == 0 && !compat.MetadataTagsLost) return tags;
        if (tags.Length == 0 && !compat.MetadataTagsLost) return caption;
        return string.Join('\n', caption.Split('\n').Where(line => PythonText.Strip(line).Length > 0).Select(line => line + separator + tags));
    }
}
