using System.Text;

namespace Levain.Core;

/// <summary>Tables as text: commas between fields, quotes around those that hold commas, quotes or line breaks.</summary>
/// <remarks>RFC 4180 as Python's <c>csv</c> reads it: a quote counts at the start of a field only, nothing is an error.</remarks>
public static class CsvText
{
    /// <summary>The rows of a table, each at least one field; empty lines are left out.</summary>
    /// <param name="text">The table.</param>
    /// <param name="skipSpaces">Whether spaces behind a comma are no part of a field, so that a quote may follow them.</param>
    public static IReadOnlyList<IReadOnlyList<string>> Rows(string text, bool skipSpaces = false)
    {
        var (rows, row, field) = (new List<IReadOnlyList<string>>(), new List<string>(), new StringBuilder());
        var (quoted, begun, any) = (false, false, false);       // inside quotes; the field holds something; the row holds something
        for (var at = 0; at < text.Length; at++)
        {
            var c = text[at];
            if (quoted)
            {
                if (c != '"') field.Append(c);
                else if (at + 1 < text.Length && text[at + 1] == '"') field.Append(text[at++]);
                else quoted = false;
            }
            else if (c == ',') EndField();
            else if (c is '\r' or '\n')
            {
                if (c == '\r' && at + 1 < text.Length && text[at + 1] == '\n') at++;
                EndRow();
            }
            else if (c == '"' && !begun) quoted = begun = any = true;
            else if (c == ' ' && skipSpaces && !begun) any = true;
            else
            {
                field.Append(c);
                begun = any = true;
            }
        }
        EndRow();
        return rows;

        void EndField()
        {
            row.Add(field.ToString());
            field.Clear();
            (begun, any) = (false, true);
        }

        void EndRow()
        {
            if (!any) return;
            EndField();
            rows.Add(row);
            (row, any, quoted) = ([], false, false);
        }
    }

    /// <summary>One row without a line break; a lone empty field is quoted, so that it can be told from no row.</summary>
    public static string Row(IReadOnlyList<string> fields) => fields is [""] ? "\"\"" : string.Join(',', fields.Select(Quote));

    private static string Quote(string field) => field.AsSpan().IndexOfAny("\",\r\n") < 0 ? field : $"\"{field.Replace("\"", "\"\"")}\"";
}
