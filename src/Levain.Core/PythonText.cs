using System.Globalization;
using System.Numerics;
using System.Text;

namespace Levain.Core;

/// <summary>
/// Python's spelling of values, which kohya's metadata and arguments are full of: <c>repr</c>, <c>json.dumps</c> and literals.
/// Values are <c>null</c>, <c>bool</c>, whole numbers, <c>double</c>, <c>string</c>, lists (<see cref="IReadOnlyList{T}"/> of object), and tuples (<see cref="PythonTuple"/>).
/// </summary>
public static class PythonText
{
    /// <summary><c>str(value)</c>: a text stays as it is, everything else as <see cref="Repr"/>.</summary>
    public static string Str(object? value) => value as string ?? Repr(value);

    /// <summary><c>repr(value)</c>: <c>None</c>, <c>True</c>, <c>1e-05</c>, <c>5.0</c>, <c>'text'</c>, <c>(512, 512)</c>.</summary>
    public static string Repr(object? value) => value switch
    {
        null => "None",
        bool flag => flag ? "True" : "False",
        double number => Float(number),
        float number => Float(number),
        string text => Quote(text),
        PythonTuple { Items: [var only] } => $"({Repr(only)},)",
        PythonTuple tuple => $"({string.Join(", ", tuple.Items.Select(Repr))})",
        System.Collections.IEnumerable list => $"[{string.Join(", ", list.Cast<object?>().Select(Repr))}]",
        IFormattable whole => whole.ToString(null, CultureInfo.InvariantCulture),
        _ => throw new ArgumentException($"Python has no {value.GetType().Name}."),
    };

    /// <summary><c>json.dumps(value)</c> with its defaults: <c>", "</c> and <c>": "</c> between, non-ASCII escaped. Maps are sequences of key and value, in order.</summary>
    public static string Json(object? value)
    {
        var text = new StringBuilder();
        Json(text, value);
        return text.ToString();
    }

    /// <summary>Reads a literal as <c>ast.literal_eval</c> does: <c>True</c>, <c>0.01</c>, <c>0.9,0.99</c> (a tuple), <c>"text"</c>, <c>None</c>, lists.</summary>
    /// <returns>False where it is none of these.</returns>
    public static bool TryLiteral(string text, out object? value)
    {
        var reader = new LiteralReader(text.Trim());
        return reader.TryReadAll(out value);
    }

    // Shortest digits that read back the same, as both languages print them; Python goes to an exponent below 1e-4 and from 1e16 on.
    private static string Float(double number)
    {
        if (double.IsNaN(number)) return "nan";
        if (double.IsInfinity(number)) return number > 0 ? "inf" : "-inf";
        if (number == 0) return double.IsNegative(number) ? "-0.0" : "0.0";
        var parts = number.ToString("E16", CultureInfo.InvariantCulture).Split('E');
        var exponent = int.Parse(parts[1], CultureInfo.InvariantCulture);
        var shortest = number.ToString("R", CultureInfo.InvariantCulture);
        var digits = new string([.. shortest.Split('E')[0].Where(char.IsDigit)]).TrimStart('0').TrimEnd('0');
        // "R" may round up to the next power of ten; its own exponent is then the right one.
        if (shortest.Contains('E')) exponent = int.Parse(shortest.Split('E')[1], CultureInfo.InvariantCulture);
        var sign = number < 0 ? "-" : "";
        if (exponent is < -4 or >= 16)
            return $"{sign}{digits[0]}{(digits.Length > 1 ? "." + digits[1..] : "")}e{(exponent < 0 ? '-' : '+')}{Math.Abs(exponent):00}";
        if (exponent < 0) return $"{sign}0.{new string('0', -exponent - 1)}{digits}";
        return digits.Length <= exponent + 1
            ? $"{sign}{digits.PadRight(exponent + 1, '0')}.0"
            : $"{sign}{digits[..(exponent + 1)]}.{digits[(exponent + 1)..]}";
    }

    private static string Quote(string text)
    {
        var quote = text.Contains('\'') && !text.Contains('"') ? '"' : '\'';
        var quoted = new StringBuilder().Append(quote);
        foreach (var letter in text)
            quoted.Append(letter switch
            {
                '\\' => "\\\\",
                '\n' => "\\n",
                '\r' => "\\r",
                '\t' => "\\t",
                _ when letter == quote => $"\\{letter}",
                < ' ' or '\u007f' => $"\\x{(int)letter:x2}",
                _ => letter.ToString(),
            });
        return quoted.Append(quote).ToString();
    }

    private static void Json(StringBuilder text, object? value)
    {
        switch (value)
        {
            case null: text.Append("null"); break;
            case bool flag: text.Append(flag ? "true" : "false"); break;
            case double or float: text.Append(Repr(value) switch { "nan" => "NaN", "inf" => "Infinity", "-inf" => "-Infinity", var number => number }); break;
            case string word: JsonText(text, word); break;
            case IEnumerable<KeyValuePair<string, object?>> map:
                Between(text, '{', '}', map, pair =>
                {
                    JsonText(text, pair.Key);
                    text.Append(": ");
                    Json(text, pair.Value);
                });
                break;
            case PythonTuple tuple: Between(text, '[', ']', tuple.Items, item => Json(text, item)); break;
            case System.Collections.IEnumerable list: Between(text, '[', ']', list.Cast<object?>(), item => Json(text, item)); break;
            default: text.Append(Repr(value)); break;
        }
    }

    private static void Between<T>(StringBuilder text, char open, char close, IEnumerable<T> items, Action<T> write)
    {
        text.Append(open);
        var first = true;
        foreach (var item in items)
        {
            if (!first) text.Append(", ");
            first = false;
            write(item);
        }
        text.Append(close);
    }

    private static void JsonText(StringBuilder text, string word)
    {
        text.Append('"');
        foreach (var letter in word)
            text.Append(letter switch
            {
                '"' => "\\\"",
                '\\' => "\\\\",
                '\n' => "\\n",
                '\r' => "\\r",
                '\t' => "\\t",
                '\b' => "\\b",
                '\f' => "\\f",
                < ' ' or > '~' => $"\\u{(int)letter:x4}",
                _ => letter.ToString(),
            });
        text.Append('"');
    }

    private sealed class LiteralReader(string text)
    {
        private int at;

        public bool TryReadAll(out object? value)
        {
            value = null;
            if (text.Length == 0 || !TryList('\0', out var items, out var commas)) return false;
            if (at != text.Length || items.Count == 0) return false;
            value = commas ? new PythonTuple(items) : items[0];
            return true;
        }

        private bool TryList(char close, out List<object?> items, out bool commas)
        {
            (items, commas) = ([], false);
            while (true)
            {
                Blanks();
                if (at >= text.Length) return close == '\0';
                if (text[at] == close)
                {
                    at++;
                    return true;
                }
                if (!TryValue(out var value)) return false;
                items.Add(value);
                Blanks();
                if (at < text.Length && text[at] == ',')
                {
                    commas = true;
                    at++;
                }
                else if (at < text.Length && text[at] != close || at >= text.Length && close != '\0') return false;
            }
        }

        private bool TryValue(out object? value)
        {
            value = null;
            var letter = text[at];
            if (letter is '(' or '[')
            {
                at++;
                if (!TryList(letter == '(' ? ')' : ']', out var items, out var commas)) return false;
                value = letter == '[' ? items : commas || items.Count == 0 ? new PythonTuple(items) : items[0];
                return true;
            }
            if (letter is '"' or '\'')
            {
                var end = at + 1;
                var word = new StringBuilder();
                for (; end < text.Length && text[end] != letter; end++)
                    word.Append(text[end] == '\\' && end + 1 < text.Length ? text[++end] switch { 'n' => '\n', 't' => '\t', 'r' => '\r', var other => other } : text[end]);
                if (end >= text.Length) return false;
                (value, at) = (word.ToString(), end + 1);
                return true;
            }
            var start = at;
            while (at < text.Length && text[at] is not (',' or ')' or ']' or ' ')) at++;
            return TryWord(text[start..at], out value);
        }

        private static bool TryWord(string word, out object? value)
        {
            value = word switch { "True" => true, "False" => false, _ => null };
            if (value is not null || word == "None") return true;
            if (long.TryParse(word.Replace("_", ""), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole)) value = whole;
            else if (BigInteger.TryParse(word, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var large)) value = large;
            else if (word.Length > 0 && !char.IsLetter(word.TrimStart('-', '+').FirstOrDefault('x')) && double.TryParse(word, NumberStyles.Float, CultureInfo.InvariantCulture, out var number)) value = number;
            return value is not null;
        }

        private void Blanks()
        {
            while (at < text.Length && char.IsWhiteSpace(text[at])) at++;
        }
    }
}

/// <summary>A Python tuple: prints in round brackets.</summary>
/// <param name="Items">Its members.</param>
public sealed record PythonTuple(params IReadOnlyList<object?> Items);
