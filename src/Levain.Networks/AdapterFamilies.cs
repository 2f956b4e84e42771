using Levain.Core;
using Levain.Models;

namespace Levain.Networks;

/// <summary>Every kind of adapter this program can train and load. One file adds one.</summary>
[Catalog]
public static partial class AdapterFamilies
{
    /// <summary>All families, by name of their property.</summary>
    public static partial IReadOnlyList<AdapterFamily> All { get; }

    /// <summary>The family of that name.</summary>
    /// <exception cref="SettingsException">There is none; the message names near ones.</exception>
    public static AdapterFamily Named(string name) => All.FirstOrDefault(family => family.Name == name)
        ?? throw new SettingsException([new("network.family", $"is '{name}'.", Nearest.Advice(name, [.. All.Select(family => family.Name)]))]);

    /// <summary>The adapter that a file's tensors make; null where they make none.</summary>
    /// <param name="preferred">Tried first: tensors of a low-rank product fit several families. After it kohya's LoRA, which most files are.</param>
    internal static Adapter? Read(AdapterSite site, AdapterParts parts, AdapterFamily? preferred = null)
    {
        foreach (var family in new[] { preferred, Lora }.OfType<AdapterFamily>().Concat(All))
            if (family.Read(site, parts) is { } adapter) return adapter;
        return null;
    }
}

/// <summary>Whose rules a family follows where they are not the paper's: which layers are adapted, what a file's metadata says.</summary>
public enum AdapterOrigin
{
    /// <summary>kohya's sd-scripts, and our own.</summary>
    Kohya,

    /// <summary>LyCORIS: layers by preset, convolutions of the network's rank.</summary>
    Lycoris,
}

/// <summary>A kind of adapter.</summary>
/// <param name="Name">Name in run files.</param>
/// <param name="Summary">What it does, in a line.</param>
/// <param name="Source">The paper or the origin of its rules.</param>
/// <param name="Parts">The tensors it reads from files, beside <c>alpha</c> and <c>scale</c>.</param>
/// <param name="Create">A new adapter; its values are drawn later.</param>
/// <param name="Read">An adapter sized by a file's tensors; null where they are not of this family.</param>
public sealed record AdapterFamily(
    string Name,
    string Summary,
    Uri Source,
    IReadOnlyList<string> Parts,
    Func<AdapterSite, AdapterNumbers, Adapter> Create,
    Func<AdapterSite, AdapterParts, Adapter?> Read)
{
    /// <summary>Whose rules it follows.</summary>
    public AdapterOrigin Origin { get; init; } = AdapterOrigin.Kohya;

    /// <summary>Which layers a network of this family adapts.</summary>
    public Func<NetworkOptions, LayerTargets> Targets
    {
        get => field ?? (Origin == AdapterOrigin.Lycoris ? LayerTargets.Lycoris : LayerTargets.Kohya);
        init;
    }

    /// <summary>Kinds of layers it can hang on: by default all but normalisations.</summary>
    public Func<LayerShape, bool> Adapts { get; init; } = shape => !shape.IsNorm;

    /// <summary>Whether convolutions larger than 1×1, where they are adapted, have the rank and alpha of all others.</summary>
    public bool OneSize { get; init; }

    /// <summary>K-30: whether a whole alpha is saved as one; LyCORIS' LoCon, LoHa and LoKr make it a fraction.</summary>
    public bool KeepsWholeAlpha
    {
        get => field || Origin == AdapterOrigin.Kohya;
        init;
    }

    /// <summary>What keeps an adapter of this size from hanging on a layer; null where nothing does.</summary>
    public Func<AdapterSite, AdapterNumbers, Problem?> Check { get; init; } = (_, _) => null;

    /// <summary>What the LoRA guide and the family's own documents say about when and how to use it.</summary>
    public string Advice { get; init; } = "";
}
