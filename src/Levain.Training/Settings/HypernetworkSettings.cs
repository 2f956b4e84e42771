using Levain.Core;
using Levain.Networks;

namespace Levain.Training.Settings;

/// <summary>The <c>[hypernetwork]</c> table: the hypernetwork that is trained, where <c>trains = "hypernetwork"</c>.</summary>
public sealed record HypernetworkSettings
{
    /// <summary>Widths of its layers in multiples of the tokens' width; first and last are 1. Default 1, 2, 1, the webui's.</summary>
    public IReadOnlyList<double> LayerStructure { get; init; } = [1, 2, 1];

    /// <summary>Between its layers: <c>linear</c> (none), <c>relu</c>, <c>leakyrelu</c>, <c>elu</c>, <c>swish</c>, <c>tanh</c>, <c>sigmoid</c>, <c>mish</c>, …. Default linear.</summary>
    public string Activation { get; init; } = "linear";

    /// <summary>Puts a norm behind every layer. Default false.</summary>
    public bool LayerNorm { get; init; }

    /// <summary>How its weights begin: <c>normal</c>, <c>xavier_uniform</c>, <c>xavier_normal</c>, <c>kaiming_uniform</c>, <c>kaiming_normal</c>. Default normal, N(0, 0.01).</summary>
    public HypernetworkStart Start { get; init; } = HypernetworkStart.Normal;

    /// <summary>Widths of tokens it changes; null: all that the base's attentions look at (768, 320, 640, 1280).</summary>
    public IReadOnlyList<int>? Widths { get; init; }

    /// <summary>A hypernetwork of the same structure to begin with; null: none.</summary>
    public string? Weights { get; init; }

    /// <summary>What the network room is asked for.</summary>
    /// <param name="all">Widths that the base's attentions look at.</param>
    public HypernetworkOptions ToOptions(IEnumerable<long> all) =>
        new(Widths is { } widths ? [.. widths.Select(width => (long)width)] : [.. all.Distinct().Order()], LayerStructure, Activation, LayerNorm, Start);

    /// <summary>The table's keys.</summary>
    public static HypernetworkSettings Map(HypernetworkSettings network, TomlMap map) => network with
    {
        LayerStructure = map.Numbers("layer_structure", network.LayerStructure) ?? network.LayerStructure,
        Activation = map.Text("activation", network.Activation),
        LayerNorm = map.Flag("layer_norm", network.LayerNorm),
        Start = map.Choice("start", network.Start),
        Widths = map.Wholes("widths", network.Widths),
        Weights = map.OptionalPath("weights", network.Weights),
    };

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    public void Check(Problems problems)
    {
        problems.Require(LayerStructure is [1, _, .., 1] or [1, 1] && LayerStructure.All(part => part > 0), "layer_structure", $"is {string.Join(", ", LayerStructure)}.", "Begin and end with 1, as in 1, 2, 1.");
        problems.Require(Hypernetwork.KnowsActivation(Activation), "activation", $"is \"{Activation}\".", "Use linear, relu, leakyrelu, elu, swish, tanh, sigmoid or mish.");
        problems.Require(Widths is null || Widths.Count > 0 && Widths.All(width => width > 0), "widths", "holds none, or one below 1.", "Leave it out: all widths of the base are changed.");
        problems.Require(Weights is null || File.Exists(Weights), "weights", $"names {Weights}, which is not there.", "Name a hypernetwork of the webui (.pt).");
    }
}
