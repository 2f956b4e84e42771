using System.Text;
using System.Text.RegularExpressions;

namespace Levain.Networks;

/// <summary>Shell wildcards as Python's <c>fnmatch</c> reads them: <c>*</c>, <c>?</c>, <c>[ab]</c>, <c>[a-c]</c> and <c>[!ab]</c>; a bracket that is never closed stands for itself.</summary>
internal static class ShellPattern
{
    /// <summary>The regular expression over a whole name that a pattern stands for.</summary>
    public static string Expression(string pattern)
    {
        var text = new StringBuilder("^");
        for (var i = 0; i < pattern.Length; i++)
        {
            // The first character of a list may be its closing bracket.
            var begin = i + 1 < pattern.Length && pattern[i + 1] == '!' ? i + 2 : i + 1;
            var end = pattern[i] == '[' && begin < pattern.Length ? pattern.IndexOf(']', begin + (pattern[begin] == ']' ? 1 : 0)) : -1;
            if (end > 0)
            {
                var list = pattern[begin..end].Replace(@"\", @"\\").Replace("[", @"\[").Replace("]", @"\]").Replace("^", @"\^");
                text.Append(begin == i + 2 ? $"[^{list}]" : $"[{list}]");
                i = end;
            }
            else
            {
                text.Append(pattern[i] switch { '*' => ".*", '?' => ".", var plain => Regex.Escape(plain.ToString()).Replace("]", @"\]") });
            }
        }
        return text.Append(@"\z").ToString();
    }
}
