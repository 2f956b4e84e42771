using Levain.Core;

namespace Levain.Generation;

/// <summary>Something that changes from picture to picture of a grid.</summary>
/// <param name="Name">The webui's name: <c>Prompt S/R</c>, <c>CFG Scale</c>.</param>
/// <param name="Kind">What its values are.</param>
/// <param name="Summary">What it does, in a line.</param>
/// <param name="Apply">Changes a cell: the cell, the value, all values of the axis.</param>
public sealed record GridAxis(string Name, AxisKind Kind, string Summary, Func<GridCell, object, IReadOnlyList<object>, GridCell> Apply)
{
    /// <summary>What a change of value costs, 0 to 1: 1 where a checkpoint is read.</summary>
    public double Cost { get; init; }

    /// <summary>What a legend says; null for <c>NAME: VALUE</c>.</summary>
    public Func<object, string>? Legend { get; init; }

    /// <summary>The legend of a value.</summary>
    public string LegendOf(object value) => Legend?.Invoke(value) ?? $"{Name}: {AxisValues.Show(value)}";

    /// <summary>The axis of that name, whatever its case, blanks and signs: <c>prompt s/r</c>, <c>cfg-scale</c>.</summary>
    /// <exception cref="SettingsException">There is none; the message names near ones, or says why it is left out.</exception>
    public static GridAxis Named(string name)
    {
        if (GridAxes.All.FirstOrDefault(axis => Plain(axis.Name) == Plain(name)) is { } known) return known;
        throw new SettingsException([RefusedAxes.All.FirstOrDefault(axis => Plain(axis.Key) == Plain(name)) is { Key: { } refused } axis
            ? new("axis", $"'{refused}' is an axis of the webui that is left out here.", axis.Value)
            : new("axis", $"'{name}' is not known.", Nearest.Advice(name, [.. GridAxes.All.Select(axis => axis.Name)]))]);
    }

    private static string Plain(string name) => string.Concat(name.ToLowerInvariant().Where(char.IsLetterOrDigit));
}

/// <summary>An axis with its values.</summary>
/// <param name="Axis">What changes.</param>
/// <param name="Values">Its values, in order.</param>
public sealed record GridLineUp(GridAxis Axis, IReadOnlyList<object> Values)
{
    /// <summary>One value that changes nothing: an axis that is not used.</summary>
    public static GridLineUp None { get; } = new(GridAxes.Nothing, [""]);

    /// <summary>Legends, in order.</summary>
    public IReadOnlyList<string> Legends => [.. Values.Select(Axis.LegendOf)];

    /// <summary>Reads <c>AXIS=VALUES</c>.</summary>
    /// <exception cref="SettingsException">The axis is not known, or a value is none of its kind.</exception>
    public static GridLineUp Parse(string text)
    {
        var sign = text.IndexOf('=');
        if (sign < 0) throw new SettingsException([new("axis", $"is '{text}'.", "Write AXIS=VALUES: 'Seed=1-4', 'Prompt S/R=red,blue'.")]);
        var axis = GridAxis.Named(text[..sign].Trim());
        var values = AxisValues.Read(axis.Kind, text[(sign + 1)..]);
        return values.Count > 0 ? new(axis, values) : throw new SettingsException([new("axis", $"'{axis.Name}' has no value.", "Write AXIS=VALUES: 'Seed=1-4'.")]);
    }
}
