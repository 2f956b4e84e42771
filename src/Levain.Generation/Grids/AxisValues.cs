using System.Globalization;
using System.Text.RegularExpressions;
using Levain.Core;

namespace Levain.Generation;

/// <summary>What an axis's values are.</summary>
public enum AxisKind
{
    /// <summary>Texts: <c>a, "b, c"</c>.</summary>
    Text,

    /// <summary>Whole numbers and ranges of them: <c>1-5</c>, <c>1-9 (+2)</c>, <c>1-100 [4]</c>.</summary>
    Whole,

    /// <summary>Numbers and ranges of them: <c>0.5-1 (+0.1)</c>, <c>0-1 [5]</c>.</summary>
    Number,

    /// <summary>All orders of the texts.</summary>
    Order,
}

/// <summary>Reads an axis's values.</summary>
/// <remarks>
/// AUTOMATIC1111's webui, <c>scripts/xyz_grid.py</c>. Texts are CSV: commas and line breaks part, quotes keep. A range of numbers with a step may go one step
/// beyond its end, as <c>numpy.arange</c> does.
/// </remarks>
public static partial class AxisValues
{
    private const int MostValues = 10_000;

    /// <summary>The values: texts, <c>long</c>, <c>double</c>, or a list of texts for <see cref="AxisKind.Order"/>.</summary>
    /// <exception cref="SettingsException">A value is no number or range.</exception>
    public static IReadOnlyList<object> Read(AxisKind kind, string text)
    {
        List<string> words = [.. CsvText.Rows(text, skipSpaces: true).SelectMany(row => row).Select(word => word.Trim())];
        return kind switch
        {
            AxisKind.Whole => [.. words.Where(word => word.Length > 0).SelectMany(Wholes).Cast<object>()],
            AxisKind.Number => [.. words.Where(word => word.Length > 0).SelectMany(Numbers).Cast<object>()],
            AxisKind.Order => [.. Orders(words)],
            _ => [.. words],
        };
    }

    /// <summary>Values as the webui writes them back: CSV in one line.</summary>
    public static string Write(IReadOnlyList<string> words) => CsvText.Row(words).Trim();

    /// <summary>A value as legends show it: numbers as Python prints them, 8 digits behind the point at most.</summary>
    public static string Show(object value) => value switch
    {
        double number => PythonText.Repr(Math.Round(number, 8)),
        IReadOnlyList<string> words => string.Join(", ", words),
        _ => string.Create(CultureInfo.InvariantCulture, $"{value}"),
    };

    private static IEnumerable<long> Wholes(string word)
    {
        if (WholeRange().Match(word) is { Success: true } range)
        {
            var (from, to) = (Whole(range.Groups["from"].Value, word), Whole(range.Groups["to"].Value, word));
            var step = range.Groups["step"].Success ? Whole(range.Groups["step"].Value, word) : 1;
            if (step == 0) throw Refuse(word, "has steps of 0.");
            if (range.Groups["count"].Success) return Spread(from, to, Count(range.Groups["count"].Value, word)).Select(number => (long)number);
            Limit(((double)to + 1 - from) / step, word);
            var wholes = new List<long>();
            for (var number = from; step > 0 ? number < to + 1 : number > to + 1; number += step) wholes.Add(number);
            return wholes;
        }
        return [Whole(word, word)];
    }

    private static IEnumerable<double> Numbers(string word)
    {
        if (NumberRange().Match(word) is { Success: true } range)
        {
            var (from, to) = (Number(range.Groups["from"].Value, word), Number(range.Groups["to"].Value, word));
            if (range.Groups["count"].Success) return Spread(from, to, Count(range.Groups["count"].Value, word));
            var step = range.Groups["step"].Success ? Number(range.Groups["step"].Value, word) : 1;
            if (step == 0) throw Refuse(word, "has steps of 0.");
            var count = Math.Max(Math.Ceiling((to + step - from) / step), 0);
            Limit(count, word);
            var distance = from + step - from;           // as numpy's arange: the distance of the first two, rounded
            return Enumerable.Range(0, (int)count).Select(i => i == 1 ? from + step : from + i * distance);
        }
        return [Number(word, word)];
    }

    private static IEnumerable<double> Spread(double from, double to, int count)
    {
        var distance = count > 1 ? (to - from) / (count - 1) : 0;
        return Enumerable.Range(0, count).Select(i => i > 0 && i == count - 1 ? to : from + i * distance);
    }

    private static IEnumerable<IReadOnlyList<string>> Orders(IReadOnlyList<string> words)
    {
        const int Most = 7;           // 5040 orders
        if (words.Count > Most) throw new SettingsException([new("axis", $"has {words.Count} parts to be put in every order.", $"Use {Most} at most.")]);
        return Of([], words);

        static IEnumerable<IReadOnlyList<string>> Of(IReadOnlyList<string> before, IReadOnlyList<string> left) => left.Count == 0 ? [before]
            : left.SelectMany((word, i) => Of([.. before, word], [.. left.Where((_, j) => j != i)]));
    }

    private static long Whole(string text, string word) => PythonNumber.Int(text) ?? throw Refuse(word, "is no whole number.");

    private static double Number(string text, string word) => PythonNumber.Float(text) ?? throw Refuse(word, "is no number.");

    private static int Count(string text, string word)
    {
        var count = Whole(text, word);
        Limit(count, word);
        return (int)count;
    }

    private static void Limit(double count, string word)
    {
        if (count > MostValues) throw Refuse(word, $"stands for more than {MostValues} values.");
    }

    private static SettingsException Refuse(string word, string what) =>
        new([new("axis", $"'{word}' {what}", "Write 1, 1-5, 1-9 (+2) or 1-100 [4], with commas between.")]);

    [GeneratedRegex(@"^\s*(?<from>[+-]?\s*\d+)\s*-\s*(?<to>[+-]?\s*\d+)(\s*\((?<step>[+-]\d+)\s*\)|\s*\[(?<count>\d+)\s*\])?\s*$")]
    private static partial Regex WholeRange();

    [GeneratedRegex(@"^\s*(?<from>[+-]?\s*\d+(.\d*)?)\s*-\s*(?<to>[+-]?\s*\d+(.\d*)?)(\s*\((?<step>[+-]\d+(.\d*)?)\s*\)|\s*\[(?<count>\d+(.\d*)?)\s*\])?\s*$")]
    private static partial Regex NumberRange();
}
