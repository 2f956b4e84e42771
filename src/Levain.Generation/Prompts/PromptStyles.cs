using System.Text;
using Levain.Core;

namespace Levain.Generation;

/// <summary>A piece of prompt with a name, to be joined to any prompt.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Prompt">Joined behind the prompt, or around it where it holds <c>{prompt}</c>.</param>
/// <param name="NegativePrompt">The same for the negative prompt.</param>
public sealed record PromptStyle(string Name, string Prompt, string NegativePrompt);

/// <summary>The webui's <c>styles.csv</c>: pieces of prompts by name.</summary>
/// <remarks>AUTOMATIC1111's webui, <c>modules/styles.py</c>.</remarks>
public sealed class PromptStyles
{
    private const string Place = "{prompt}", Separator = ", ", None = "None";
    private readonly OrderedDictionary<string, PromptStyle> styles = new(StringComparer.Ordinal);

    /// <summary>Every style, in the files' order.</summary>
    public IEnumerable<PromptStyle> All => styles.Values;

    /// <summary>Reads style files; of styles of one name the last counts.</summary>
    /// <exception cref="SettingsException">A file is not there, or has no column <c>name</c>.</exception>
    public static PromptStyles Read(params IEnumerable<string> paths)
    {
        var styles = new PromptStyles();
        foreach (var path in paths)
        {
            if (!File.Exists(path)) throw new SettingsException([new(path, "is not there.", "Name a styles file: CSV with the columns name, prompt, negative_prompt.")]);
            styles.Add(File.ReadAllText(path, Encoding.UTF8), path);
        }
        return styles;
    }

    /// <summary>Adds the styles of a file's text; names that begin with <c>#</c> are comments.</summary>
    /// <param name="path">The file, for messages.</param>
    /// <exception cref="SettingsException">There is no column <c>name</c>.</exception>
    public void Add(string text, string path = "styles.csv")
    {
        var rows = CsvText.Rows(text.TrimStart('\ufeff'), skipSpaces: true);
        if (rows.Count == 0) return;
        var header = rows[0].ToList();
        var (name, prompt, negative) = (header.IndexOf("name"), Math.Max(header.IndexOf("prompt"), header.IndexOf("text")), header.IndexOf("negative_prompt"));      // old files have "text"
        if (name < 0) throw new SettingsException([new(path, $"has the columns {string.Join(", ", header)}.", "A styles file begins with the line name,prompt,negative_prompt.")]);
        foreach (var row in rows.Skip(1))
            if (!Field(row, name).StartsWith('#')) Add(new PromptStyle(Field(row, name), Field(row, prompt), Field(row, negative)));

        static string Field(IReadOnlyList<string> row, int column) => column >= 0 && column < row.Count ? row[column] : "";
    }

    /// <summary>Adds a style, or replaces the one of its name.</summary>
    public void Add(PromptStyle style) => styles[style.Name] = style;

    /// <summary>Joins styles to a prompt, one after another; names that are not known change nothing, see <see cref="Check"/>.</summary>
    public (string Prompt, string NegativePrompt) Apply(string prompt, string negativePrompt, IEnumerable<string> names)
    {
        foreach (var name in names)
            if (styles.TryGetValue(name, out var style)) (prompt, negativePrompt) = (Join(style.Prompt, prompt), Join(style.NegativePrompt, negativePrompt));
        return (prompt, negativePrompt);
    }

    /// <summary>Adds a problem for every name that is no style's; <c>None</c> is no style and no problem.</summary>
    public void Check(IEnumerable<string> names, Problems problems)
    {
        foreach (var name in names)
            problems.Require(styles.ContainsKey(name) || name == None, "style", $"is '{name}'.", styles.Count == 0 ? "Name the file that holds it with --styles." : Nearest.Advice(name, styles.Keys));
    }

    /// <summary>Finds out which styles a finished prompt was made with, in the order they were joined, and what it was before.</summary>
    public (IReadOnlyList<string> Names, string Prompt, string NegativePrompt) Extract(string prompt, string negativePrompt)
    {
        var (left, found) = (styles.Values.ToList(), new List<string>());
        while (left.Find(Fits) is { } style)
        {
            (prompt, negativePrompt) = (Without(style.Prompt, prompt)!, Without(style.NegativePrompt, negativePrompt)!);
            left.Remove(style);
            found.Insert(0, style.Name);
        }
        return (found, prompt, negativePrompt);

        bool Fits(PromptStyle style) => style.Prompt.Length + style.NegativePrompt.Length > 0
            && Without(style.Prompt, prompt) is not null && Without(style.NegativePrompt, negativePrompt) is not null;
    }

    /// <summary>The styles as the webui writes them.</summary>
    public string ToCsv()
    {
        var text = new StringBuilder("\ufeff");
        foreach (var row in (IEnumerable<string[]>)[["name", "prompt", "negative_prompt"], .. styles.Values.Select(style => new[] { style.Name, style.Prompt, style.NegativePrompt })])
            text.Append(CsvText.Row(row)).Append("\r\n");
        return text.ToString();
    }

    private static string Join(string style, string prompt) => style.Contains(Place, StringComparison.Ordinal)
        ? style.Replace(Place, prompt)
        : string.Join(Separator, new[] { prompt.Trim(), style.Trim() }.Where(part => part.Length > 0));

    /// <summary>What a prompt was before a style's text was joined to it; null where the text is not in it.</summary>
    private static string? Without(string style, string prompt)
    {
        var (text, whole) = (style.Trim(), prompt.Trim());
        var place = text.IndexOf(Place, StringComparison.Ordinal);
        if (place < 0)
        {
            if (!whole.EndsWith(text, StringComparison.Ordinal)) return null;
            var before = whole[..^text.Length];
            return before.EndsWith(Separator, StringComparison.Ordinal) ? before[..^Separator.Length] : before;
        }
        var (head, tail) = (text[..place], text[(place + Place.Length)..]);
        return whole.Length >= head.Length + tail.Length && whole.StartsWith(head, StringComparison.Ordinal) && whole.EndsWith(tail, StringComparison.Ordinal)
            ? whole[head.Length..^tail.Length] : null;
    }
}
