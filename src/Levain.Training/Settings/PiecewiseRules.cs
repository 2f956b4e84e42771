using System.Globalization;

namespace Levain.Training.Settings;

/// <summary>Factors of a piecewise-constant schedule: <c>"1:5,0.3:12,0.1"</c> is 1 before step 5, 0.3 before step 12, then 0.1.</summary>
/// <remarks>diffusers <c>get_piecewise_constant_schedule</c>.</remarks>
public sealed record PiecewiseRules(IReadOnlyList<(double Factor, int Until)> Pieces, double Last)
{
    /// <summary>The factor at step <paramref name="step"/>, counted from 0.</summary>
    public double Factor(int step)
    {
        foreach (var (factor, until) in Pieces)
            if (step < until) return factor;
        return Last;
    }

    /// <summary>Reads the rules; null where they have another form.</summary>
    public static PiecewiseRules? Parse(string? text)
    {
        if (text is null) return null;
        var parts = text.Split(',');
        var pieces = new SortedDictionary<int, double>();   // the origin keeps a dictionary by step and sorts it
        foreach (var part in parts[..^1])
        {
            var pair = part.Split(':');
            if (pair.Length != 2 || Number(pair[0]) is not { } factor || !int.TryParse(pair[1].Trim(), NumberStyles.Integer, CultureInfo.InvariantCulture, out var until)) return null;
            pieces[until] = factor;
        }
        return Number(parts[^1]) is { } last ? new([.. pieces.Select(piece => (piece.Value, piece.Key))], last) : null;
    }

    private static double? Number(string text) =>
        double.TryParse(text.Trim(), NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? number : null;
}
