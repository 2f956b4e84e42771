using System.Globalization;
using Levain.Core;

namespace Levain.Training.Settings;

/// <summary>A length as steps (<c>100</c>) or as a share of the run (<c>0.05</c>, <c>"5%"</c>).</summary>
/// <remarks>kohya's <c>int_or_float</c>: 1 and more are steps, less is a share; only percentages reach the whole run and beyond.</remarks>
public sealed record StepsOrShare
{
    private StepsOrShare(int? steps, double? share) => (Steps, Share) = (steps, share);

    /// <summary>No steps.</summary>
    public static StepsOrShare None { get; } = new(0, null);

    /// <summary>A number of steps; null where it is a share.</summary>
    public int? Steps { get; }

    /// <summary>A share of the run, 0 or more; null where it is a number of steps.</summary>
    public double? Share { get; }

    /// <summary>A number of steps.</summary>
    public static StepsOrShare Of(int steps) => new(steps, null);

    /// <summary>A share, 0 or more.</summary>
    public static StepsOrShare Part(double share) => new(null, share);

    /// <summary>Steps of a run of <paramref name="total"/> steps: a share is cut to whole steps.</summary>
    public int Resolve(int total) => Steps ?? (int)Math.Min(int.MaxValue, Share!.Value * total);

    /// <summary>Reads what a file or a command line holds; null where it is neither steps nor a share.</summary>
    public static StepsOrShare? Read(object value) => value switch
    {
        long steps and >= 0 and <= int.MaxValue => Of((int)steps),
        double share when share >= 0 && share < 1 => Part(share),
        string text => Parse(text),
        _ => null,
    };

    /// <summary>Reads <c>100</c>, <c>0.05</c> or <c>5%</c>; null where it is none of them. <c>1.5</c> is none: 1 and more must be whole.</summary>
    public static StepsOrShare? Parse(string text)
    {
        text = text.Trim();
        if (text.EndsWith('%')) return Number(text[..^1]) is { } percent && percent / 100 is >= 0 and < double.PositiveInfinity and var part ? Part(part) : null;
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var steps)) return Of(steps);
        return Number(text) is >= 0 and < 1 and var share ? Part(share) : null;
    }

    /// <summary>What a file holds for it.</summary>
    public object Write() => Steps is { } steps ? (long)steps : Share is < 1 and var share ? share : string.Create(CultureInfo.InvariantCulture, $"{Share * 100}%");

    /// <inheritdoc/>
    public override string ToString() => Steps is { } steps ? Counted.Of(steps, "step") : $"{Share!.Value.ToString("P0", CultureInfo.InvariantCulture)} of the run";

    internal const string Form = "a number of steps, a share such as 0.05, or \"5%\"";

    private static double? Number(string text) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? number : null;
}
