namespace Levain.Core;

/// <summary>Suggestions for a name that is not known: edit distance over the known ones.</summary>
public static class Nearest
{
    /// <summary>The known names closest to <paramref name="name"/>, best first; none where nothing is near (more than a third of its letters differ).</summary>
    public static IReadOnlyList<string> To(string name, IEnumerable<string> known, int most = 3) =>
        [.. known.Select(candidate => (candidate, distance: Distance(name.ToLowerInvariant(), candidate.ToLowerInvariant())))
            .Where(pair => pair.distance <= Math.Max(2, name.Length / 3))
            .OrderBy(pair => pair.distance).ThenBy(pair => pair.candidate, StringComparer.Ordinal)
            .Take(most).Select(pair => pair.candidate)];

    /// <summary>A sentence for an error message: <c>Did you mean 'a' or 'b'?</c>, or a list of the known names where none is near.</summary>
    public static string Advice(string name, IReadOnlyCollection<string> known)
    {
        var near = To(name, known);
        return near.Count > 0
            ? $"Did you mean {string.Join(" or ", near.Select(candidate => $"'{candidate}'"))}?"
            : $"Known: {string.Join(", ", known)}.";
    }

    /// <summary>Levenshtein distance: single-letter insertions, deletions and replacements.</summary>
    public static int Distance(string from, string to)
    {
        var row = Enumerable.Range(0, to.Length + 1).ToArray();
        for (var i = 1; i <= from.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= to.Length; j++)
                (diagonal, row[j]) = (row[j], Math.Min(Math.Min(row[j], row[j - 1]) + 1, diagonal + (from[i - 1] == to[j - 1] ? 0 : 1)));
        }
        return row[^1];
    }
}
