using System.Globalization;
using System.Text;

namespace Levain.Models.Clip;

/// <summary>Lower case as Python has it: .NET's letter by letter, and the two cases that need more than one letter to decide.</summary>
internal static class LowerCase
{
    private const string DottedCapitalI = "\u0130", DottedI = "i\u0307";
    private const char Sigma = '\u03a3', FinalSigma = '\u03c2';

    public static string Of(string text)
    {
        if (text.Contains(Sigma)) text = EndWordsInFinalSigma(text);
        return text.Replace(DottedCapitalI, DottedI).ToLowerInvariant();
    }

    /// <summary>A capital sigma after a letter and before none is a final one (Unicode's Final_Sigma condition).</summary>
    private static string EndWordsInFinalSigma(string text)
    {
        var result = new StringBuilder(text);
        for (var i = 0; i < text.Length; i++)
            if (text[i] == Sigma && NextIsCased(text, i, -1) && !NextIsCased(text, i, +1)) result[i] = FinalSigma;
        return result.ToString();
    }

    private static bool NextIsCased(string text, int from, int direction)
    {
        for (var i = from + direction; i >= 0 && i < text.Length; i += direction)
            if (!IsIgnored(text[i])) return char.GetUnicodeCategory(text[i]) <= UnicodeCategory.TitlecaseLetter;
        return false;
    }

    private static bool IsIgnored(char c) => c is '\'' or '.' or ':' or '\u00b7' || char.GetUnicodeCategory(c)
        is UnicodeCategory.NonSpacingMark or UnicodeCategory.EnclosingMark or UnicodeCategory.Format
        or UnicodeCategory.ModifierLetter or UnicodeCategory.ModifierSymbol;
}
