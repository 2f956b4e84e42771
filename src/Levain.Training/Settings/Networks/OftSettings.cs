using Levain.Core;

namespace Levain.Training.Settings;

/// <summary>The <c>[network.oft]</c> table: how far the families <c>diag-oft</c>, <c>boft</c> and <c>kohya_oft</c> may turn a layer's outputs.</summary>
public sealed record OftSettings
{
    /// <summary>Limit of the rotation's size as a share of the layer's outputs, for diag-oft and boft; 0: none. Default 0. kohya_oft takes network.alpha.</summary>
    public double Constraint { get; init; }

    /// <summary>Trains a factor on every output row too, for diag-oft and boft. Default false.</summary>
    public bool Rescaled { get; init; }

    /// <summary>kohya_oft turns all linear layers of the transformer, not only attention's. Default false.</summary>
    public bool AllLinear { get; init; }

    /// <summary>The table's keys.</summary>
    public static OftSettings Map(OftSettings oft, TomlMap map) => oft with
    {
        Constraint = map.Number("constraint", oft.Constraint),
        Rescaled = map.Flag("rescaled", oft.Rescaled),
        AllLinear = map.Flag("all_linear", oft.AllLinear),
    };

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    public void Check(Problems problems) =>
        problems.Require(Constraint >= 0 && double.IsFinite(Constraint), "constraint", $"is {Constraint}.", "Use 0 for no limit, or a small number such as 0.001.");
}
