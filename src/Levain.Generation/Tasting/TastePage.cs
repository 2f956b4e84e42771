using System.Net;
using System.Text;

namespace Levain.Generation;

/// <summary>A tasting as one HTML page beside its pictures: figures, the suggestion, and the pictures side by side.</summary>
public static class TastePage
{
    private const string Style = """
        :root { color-scheme: light dark; font-family: system-ui, sans-serif; }
        body { margin: 1.5rem; }
        table { border-collapse: collapse; margin: 1rem 0; }
        th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #8886; }
        th:first-child, td:first-child { text-align: left; }
        .pictures td, .pictures th { text-align: center; vertical-align: top; white-space: pre-line; }
        .pictures { display: block; overflow-x: auto; }
        .best { outline: 3px solid #2a7; outline-offset: -3px; font-weight: 600; }
        img { display: block; max-width: 16rem; height: auto; }
        """;

    /// <summary>The page.</summary>
    /// <param name="tasting">What was drawn.</param>
    /// <param name="result">What came of it.</param>
    /// <param name="fileOf">Address of a picture by column, row and sub-grid, relative to the page.</param>
    public static string Of(Tasting tasting, TasteResult result, Func<int, int, int, string> fileOf)
    {
        var grid = tasting.Grid();
        var page = new StringBuilder("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">")
            .Append($"<title>Tasting of {Text(tasting.Trigger)}</title><style>\n{Style}\n</style></head><body>\n<h1>Tasting of {Text(tasting.Trigger)}</h1>\n")
            .Append($"<p><strong>Suggestion:</strong> {Text(result.Reason)}</p>\n<table><caption>Figures</caption><tr><th scope=\"col\">network</th><th scope=\"col\">strength</th><th scope=\"col\">moved by the word</th><th scope=\"col\">leak without it</th><th scope=\"col\">like the training pictures</th><th scope=\"col\">the same without the word</th></tr>\n");
        foreach (var (i, figure) in result.Figures.Index())
            page.Append(FormattableString.Invariant($"<tr{(i == result.Best ? " class=\"best\"" : "")}><td>{Text(figure.Network)}{(i == result.Best ? " (suggested)" : "")}</td><td>{figure.Strength}</td><td>{figure.Change:P1}</td><td>{figure.Leak:P1}</td><td>{figure.Likeness:P0}</td><td>{figure.LeakLikeness:P0}</td></tr>\n"));
        page.Append("</table>\n<p>Moved, leak: mean difference from the base's picture of the same seed, in parts of the range.");
        if (tasting.Training.Count > 0)
            page.Append(" Like the training pictures: how much of what they have and the base's pictures lack is found, place by place as the base's U-Net sees them; 0 % is the base, 100 % what the training pictures find in each other. It knows parts, not who is in a picture, so compare within this table.");
        page.Append("</p>\n");
        for (var z = 0; z < grid.Z.Values.Count; z++)
        {
            page.Append($"<h2>{(z == 0 ? $"With “{Text(tasting.Trigger)}”" : "Without the word: the leak test")}</h2>\n<table class=\"pictures\"><tr><th scope=\"col\">prompt</th>");
            foreach (var legend in grid.X.Legends) page.Append($"<th scope=\"col\">{Text(legend)}</th>");
            page.Append("</tr>\n");
            for (var y = 0; y < grid.Y.Values.Count; y++)
            {
                page.Append($"<tr><th scope=\"row\">{Text(grid.Y.Legends[y])}</th>");
                for (var x = 0; x < grid.X.Values.Count; x++)
                    page.Append($"<td{(x == result.Best + 1 && x > 0 ? " class=\"best\"" : "")}><img loading=\"lazy\" src=\"{Text(fileOf(x, y, z))}\" alt=\"{Text($"{grid.X.Legends[x]}: {grid.Y.Legends[y]}")}\"></td>");
                page.Append("</tr>\n");
            }
            page.Append("</table>\n");
        }
        return page.Append("</body></html>\n").ToString();
    }

    private static string Text(string text) => WebUtility.HtmlEncode(text);
}
