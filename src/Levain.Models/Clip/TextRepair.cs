using System.Net;
using System.Text;
using System.Text.RegularExpressions;

namespace Levain.Models.Clip;

/// <summary>
/// Undoes what web pages, terminals and word processors do to text, as the ftfy package does before CLIP's tokenizer: entities, curly
/// quotes, ligatures, full-width forms, odd line breaks, control characters. Its statistical repair of text read in a wrong encoding
/// (<c>schÃ¶n</c>) is left out: it is a guess.
/// </summary>
/// <remarks>Steps and their order: https://ftfy.readthedocs.io/en/latest/config.html.</remarks>
internal static partial class TextRepair
{
    // What Windows-1252 holds at 0x80 to 0x9F; five places are empty.
    private const string Windows1252 =
        "\u20ac\u0081\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u008d\u017d\u008f" +
        "\u0090\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\u009d\u017e\u0178";

    // U+FF5F to U+FFEE, half-width katakana, hangul and signs, in their usual width; zero where there is none.
    private const string UsualWidth =
        "\u2985\u2986\u3002\u300c\u300d\u3001\u30fb\u30f2\u30a1\u30a3\u30a5\u30a7\u30a9\u30e3\u30e5\u30e7\u30c3\u30fc\u30a2\u30a4\u30a6\u30a8\u30aa\u30ab" +
        "\u30ad\u30af\u30b1\u30b3\u30b5\u30b7\u30b9\u30bb\u30bd\u30bf\u30c1\u30c4\u30c6\u30c8\u30ca\u30cb\u30cc\u30cd\u30ce\u30cf\u30d2\u30d5\u30d8\u30db" +
        "\u30de\u30df\u30e0\u30e1\u30e2\u30e4\u30e6\u30e8\u30e9\u30ea\u30eb\u30ec\u30ed\u30ef\u30f3\u3099\u309a\u1160\u1100\u1101\u11aa\u1102\u11ac\u11ad" +
        "\u1103\u1104\u1105\u11b0\u11b1\u11b2\u11b3\u11b4\u11b5\u111a\u1106\u1107\u1108\u1121\u1109\u110a\u110b\u110c\u110d\u110e\u110f\u1110\u1111\u1112" +
        "\u0000\u0000\u0000\u1161\u1162\u1163\u1164\u1165\u1166\u0000\u0000\u1167\u1168\u1169\u116a\u116b\u116c\u0000\u0000\u116d\u116e\u116f\u1170\u1171" +
        "\u1172\u0000\u0000\u1173\u1174\u1175\u0000\u0000\u0000\u00a2\u00a3\u00ac\u0000\u00a6\u00a5\u20a9\u0000\u2502\u2190\u2191\u2192\u2193\u25a0\u25cb";

    private const int FirstFullWidth = 0xFF01, LastFullWidth = 0xFF5E, FullWidthShift = 0xFEE0;

    public static string Fix(string text)
    {
        var result = new StringBuilder(text.Length);
        var entities = true;
        foreach (var line in Lines().EnumerateMatches(text))
        {
            var segment = text.Substring(line.Index, line.Length);
            entities &= !segment.Contains('<');              // a text with a tag in it is taken for HTML, from there on
            result.Append(FixLine(segment, entities));
        }
        return result.ToString();
    }

    private static string FixLine(string text, bool entities)
    {
        while (true)
        {
            var before = text;
            if (entities && text.Contains('&')) text = Entity().Replace(text, match => WebUtility.HtmlDecode(match.Value));
            if (text.Contains('\e')) text = TerminalColour().Replace(text, "");
            if (!IsPlain(text)) text = Nfc.Compose(Translate(text));
            if (text == before) return text;                 // "&amp;amp;" takes two rounds
        }
    }

    private static bool IsPlain(string text) => !text.AsSpan().ContainsAnyExceptInRange(' ', '~');

    private static string Translate(string text)
    {
        var result = new StringBuilder(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] == '\r' && i + 1 < text.Length && text[i + 1] == '\n') continue;
            var c = text[i] is >= '\u0080' and <= '\u009f' ? Windows1252[text[i] - '\u0080'] : text[i];
            if (Spelt(c) is { } letters) result.Append(letters);
            else if (!IsDropped(c)) result.Append(Usual(c));
        }
        return result.ToString();
    }

    /// <summary>Latin ligatures, letter by letter; null for any other character.</summary>
    private static string? Spelt(char c) => c switch
    {
        '\u0132' => "IJ",
        '\u0133' => "ij",
        '\u0149' => "'n",
        '\u01c4' => "D\u017d",
        '\u01c5' => "D\u017e",
        '\u01c6' => "d\u017e",
        '\u01c7' => "LJ",
        '\u01c8' => "Lj",
        '\u01c9' => "lj",
        '\u01ca' => "NJ",
        '\u01cb' => "Nj",
        '\u01cc' => "nj",
        '\u01f1' => "DZ",
        '\u01f2' => "Dz",
        '\u01f3' => "dz",
        '\ufb00' => "ff",
        '\ufb01' => "fi",
        '\ufb02' => "fl",
        '\ufb03' => "ffi",
        '\ufb04' => "ffl",
        '\ufb05' => "\u017ft",
        '\ufb06' => "st",
        '\uffe3' => " \u0304",
        _ => null,
    };

    /// <summary>The character in its usual width, quotes straight, line breaks as <c>\n</c>.</summary>
    private static char Usual(char c) => (int)c switch
    {
        0x3000 => ' ',
        >= FirstFullWidth and <= LastFullWidth => (char)(c - FullWidthShift),
        > LastFullWidth and <= 0xFFEE when UsualWidth[c - LastFullWidth - 1] is > '\0' and var usual => usual,
        0x02BC or (>= 0x2018 and <= 0x201B) => '\'',
        >= 0x201C and <= 0x201F => '"',
        '\r' or 0x2028 or 0x2029 => '\n',
        _ => c,
    };

    private static bool IsDropped(char c) => (int)c is <= 0x08 or 0x0B or (>= 0x0E and <= 0x1F) or 0x7F
        or (>= 0x206A and <= 0x206F) or 0xFEFF or (>= 0xFFF9 and <= 0xFFFC);

    [GeneratedRegex(@"[^\n]*\n|[^\n]+")]
    private static partial Regex Lines();

    [GeneratedRegex("&#?[0-9A-Za-z]{1,24};")]
    private static partial Regex Entity();

    [GeneratedRegex(@"\x1b\[[0-9;]*[a-zA-Z]")]
    private static partial Regex TerminalColour();
}
