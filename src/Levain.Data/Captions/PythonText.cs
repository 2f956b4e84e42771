using System.Globalization;
using System.Numerics;
using System.Text;

namespace Levain.Data;

/// <summary>The few places where Python's idea of text differs from .NET's and shows in captions and folder names.</summary>
internal static class PythonText
{
    /// <summary>Order of Python's <c>sorted</c> on strings: by code point (.NET's ordinal order compares UTF-16 units).</summary>
    public static IComparer<string> ByCodePoint { get; } = Comparer<string>.Create(Compare);

    /// <summary><c>str.strip()</c>: Unicode white space, and the four information separators.</summary>
    public static string Strip(string text)
    {
        var (start, end) = (0, text.Length);
        while (start < end && IsSpace(text[start])) start++;
        while (end > start && IsSpace(text[end - 1])) end--;
        return text[start..end];
    }

    /// <summary><c>int(text)</c>: spaces around it, a sign, any Unicode decimal digits, single underscores between them.</summary>
    public static bool TryInt(string text, out BigInteger value)
    {
        value = 0;
        text = Strip(text);
        var negative = text.StartsWith('-');
        if (negative || text.StartsWith('+')) text = text[1..];
        var afterDigit = false;
        foreach (var rune in text.EnumerateRunes())
        {
            if (rune.Value == '_' && afterDigit)
            {
                afterDigit = false;
                continue;
            }
            if (Rune.GetUnicodeCategory(rune) != UnicodeCategory.DecimalDigitNumber) return false;
            value = value * 10 + (int)Rune.GetNumericValue(rune);
            afterDigit = true;
        }
        if (negative) value = -value;
        return afterDigit;
    }

    /// <summary>Lines as Python's text files have them: ended by <c>\n</c>, <c>\r\n</c> or <c>\r</c>; no empty one after the last.</summary>
    public static IReadOnlyList<string> Lines(string text)
    {
        var lines = text.Replace("\r\n", "\n").Replace('\r', '\n').Split('\n');
        return lines[^1].Length == 0 ? lines[..^1] : lines;
    }

    private static bool IsSpace(char c) => char.IsWhiteSpace(c) || c is >= '\x1c' and <= '\x1f';

    private static int Compare(string? a, string? b)
    {
        if (a is null || b is null) return string.CompareOrdinal(a, b);
        var length = Math.Min(a.Length, b.Length);
        for (var i = 0; i < length; i++)
        {
            if (a[i] == b[i]) continue;
            // A surrogate belongs to a code point above every other unit.
            var (left, right) = (char.IsSurrogate(a[i]), char.IsSurrogate(b[i]));
            return left == right ? a[i].CompareTo(b[i]) : left ? 1 : -1;
        }
        return a.Length.CompareTo(b.Length);
    }
}
