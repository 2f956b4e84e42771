using System.Globalization;
using System.Text.RegularExpressions;

namespace Levain.Core;

/// <summary>Numbers as Python's <c>float()</c> and <c>int()</c> read them: blanks around, underscores between digits, digits of any script.</summary>
/// <remarks>CPython's language reference, "float" and "int" of the built-in functions.</remarks>
public static partial class PythonNumber
{
    /// <summary><c>float(text)</c>; null where Python raises. <c>inf</c> and <c>nan</c> are numbers.</summary>
    public static double? Float(string text)
    {
        var plain = Plain(text);
        if (Special().Match(plain) is { Success: true } special)
            return special.Groups["nan"].Success ? double.NaN : plain[0] == '-' ? double.NegativeInfinity : double.PositiveInfinity;
        return Decimal().IsMatch(plain) ? double.Parse(plain.Replace("_", ""), NumberStyles.Float, CultureInfo.InvariantCulture) : null;
    }

    /// <summary><c>int(text)</c>; null where Python raises, and for numbers of more than 64 bits.</summary>
    public static long? Int(string text)
    {
        var plain = Plain(text);
        return Whole().IsMatch(plain) && long.TryParse(plain.Replace("_", ""), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) ? number : null;
    }

    private static string Plain(string text) => string.Concat(text.Trim().Select(c => char.IsDigit(c) ? (char)('0' + CharUnicodeInfo.GetDecimalDigitValue(c)) : c));

    [GeneratedRegex(@"^[+-]?((?<nan>nan)|inf|infinity)$", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex Special();

    [GeneratedRegex(@"^[+-]?([0-9](_?[0-9])*\.?([0-9](_?[0-9])*)?|\.[0-9](_?[0-9])*)([eE][+-]?[0-9](_?[0-9])*)?$")]
    private static partial Regex Decimal();

    [GeneratedRegex(@"^[+-]?[0-9](_?[0-9])*$")]
    private static partial Regex Whole();
}
