using System.Text;

namespace Levain.Core;

/// <summary>Splits a line into words as a POSIX shell does: blanks part, quotes and backslashes keep.</summary>
/// <remarks>POSIX.1-2017, Shell Command Language, section 2.2; as Python's <c>shlex.split</c>, so without variables and comments.</remarks>
public static class ShellWords
{
    /// <summary>The words; null where a quote is not closed or a backslash ends the line.</summary>
    public static IReadOnlyList<string>? Split(string line)
    {
        var (words, word) = (new List<string>(), (StringBuilder?)null);
        for (var at = 0; at < line.Length; at++)
        {
            var c = line[at];
            if (c is ' ' or '\t' or '\r' or '\n')
            {
                if (word is not null) words.Add(word.ToString());
                word = null;
                continue;
            }
            word ??= new();
            if (c is '\'' or '"')
            {
                for (at++; at < line.Length && line[at] != c; at++)
                {
                    if (c == '"' && line[at] == '\\' && at + 1 < line.Length && line[at + 1] is '"' or '\\') at++;
                    word.Append(line[at]);
                }
                if (at == line.Length) return null;
            }
            else if (c != '\\') word.Append(c);
            else if (at + 1 < line.Length) word.Append(line[++at]);
            else return null;
        }
        if (word is not null) words.Add(word.ToString());
        return words;
    }
}
