using System.Globalization;
using Levain.Core;

namespace Levain.Networks;

/// <summary>kohya's <c>down_lr_weight</c>, <c>mid_lr_weight</c>, <c>up_lr_weight</c> and <c>block_lr_zero_threshold</c>.</summary>
/// <remarks>
/// Each is a list of numbers (an empty entry is 0, missing ones are 1), or, for down and up, one of <c>sine cosine linear reverse_linear zeros</c>,
/// optionally with a base that is added: <c>sine+.25</c>. Weights at or below the threshold become 0.
/// </remarks>
public sealed record BlockRates
{
    private static readonly string[] Curves = ["cosine", "linear", "reverse_linear", "sine", "zeros"];

    /// <summary>Twelve weights from IN00 to IN11, or a curve; null: 1.</summary>
    public string? Down { get; init; }

    /// <summary>One weight for the middle; null: 1.</summary>
    public string? Mid { get; init; }

    /// <summary>Twelve weights from OUT00 to OUT11, or a curve; null: 1.</summary>
    public string? Up { get; init; }

    /// <summary>Weights at or below it become 0; default 0.</summary>
    public double ZeroThreshold { get; init; }

    /// <summary>All 25 weights, IN00 first.</summary>
    /// <exception cref="SettingsException">A list cannot be read.</exception>
    public IReadOnlyList<double> Weights
    {
        get
        {
            var problems = new Problems();
            var read = Read(problems);
            problems.ThrowIfAny();
            return read;
        }
    }

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    public void Check(Problems problems) => Read(problems);

    private double[] Read(Problems problems)
    {
        // kohya truncates long lists only where down and up are both given; with one of them it stops on an exception.
        var truncate = Down is not null && Up is not null;
        return
        [
            .. Side("down_lr_weight", Down, truncate, problems),
            .. Fill("mid_lr_weight", Numbers("mid_lr_weight", Mid, problems), 1, truncate: true, problems),
            .. Side("up_lr_weight", Up, truncate, problems),
        ];
    }

    private double[] Side(string name, string? text, bool truncate, Problems problems)
    {
        if (text is null || text.Contains(',')) return Fill(name, Numbers(name, text, problems), Blocks.Side, truncate, problems);
        var (curve, plus, rest) = (text.Split('+')[0].Trim(), text.Contains('+'), text[(text.IndexOf('+') + 1)..]);
        var offset = 0.0;
        if (plus && !double.TryParse(rest, CultureInfo.InvariantCulture, out offset)) problems.Add(name, $"is '{text}'.", "Write a number after the plus, as in sine+0.25.");
        double? at(int i)
        {
            var share = i / (Blocks.Side - 1.0);
            return curve switch
            {
                "sine" => Math.Sin(Math.PI * share / 2),
                "cosine" => Math.Sin(Math.PI * ((Blocks.Side - 1 - i) / (Blocks.Side - 1.0)) / 2),
                "linear" => share,
                "reverse_linear" => (Blocks.Side - 1 - i) / (Blocks.Side - 1.0),
                "zeros" => 0,
                _ => null,
            };
        }
        if (at(0) is null)
            // K-03: kohya takes a lone number for the name of a curve and stops on an exception.
            problems.Add(name, $"is '{text}'.", double.TryParse(curve, CultureInfo.InvariantCulture, out _)
                ? $"Write {Blocks.Side} numbers, or zeros+{curve} for the same weight in all of them." : Nearest.Advice(curve, Curves));
        return [.. Enumerable.Range(0, Blocks.Side).Select(i => Threshold((at(i) ?? 0) + offset))];
    }

    private double[] Fill(string name, double[] given, int count, bool truncate, Problems problems)
    {
        problems.Require(given.Length <= count || truncate, name, $"has {given.Length} entries.", $"Write {count}.");
        return [.. given.Take(count).Select(Threshold), .. Enumerable.Repeat(1.0, Math.Max(0, count - given.Length))];
    }

    private double Threshold(double weight) => weight > ZeroThreshold ? weight : 0;

    private static double[] Numbers(string name, string? text, Problems problems)
    {
        if (text is null) return [];
        var numbers = new List<double>();
        foreach (var entry in text.Split(',', StringSplitOptions.TrimEntries))
        {
            var number = 0.0;
            if (entry.Length > 0 && !double.TryParse(entry, CultureInfo.InvariantCulture, out number))
                problems.Add(name, $"has the entry '{entry}'.", "Write numbers, separated by commas.");
            numbers.Add(number);
        }
        return [.. numbers];
    }
}
