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
}

/// <summary>A kind of adapter.</summary>
/// <param name="Name">Name in run files.</param>
/// <param name="Summary">What it does, in a line.</param>
/// <param name="Source">The paper or the origin of its rules.</param>
/// <param name="Parts">The tensors it reads from files, beside <c>alpha</c> and <c>scale</c>.</param>
/// <param name="Targets">Which layers a network of this family adapts.</param>
/// <param name="Create">A new adapter; its values are drawn later.</param>
/// <param name="Read">An adapter sized by a file's tensors; null where they are not of this family.</param>
public sealed record AdapterFamily(
    string Name,
    string Summary,
    Uri Source,
    IReadOnlyList<string> Parts,
    Func<NetworkOptions, LayerTargets> Targets,
    Func<AdapterSite, AdapterNumbers, Adapter> Create,
    Func<AdapterSite, AdapterParts, Adapter?> Read);

/// <summary>Which layers are adapted: those inside a module of one of these classes.</summary>
/// <param name="UNet">Class names in the U-Net, as in <see cref="IAdaptableLayer.Owners"/>.</param>
/// <param name="TextEncoder">Class names in the text encoder.</param>
public sealed record LayerTargets(IReadOnlyList<string> UNet, IReadOnlyList<string> TextEncoder)
{
    /// <summary>kohya's LoRA: attention; with convolutions resnets and samplers too.</summary>
    public static LayerTargets Kohya(NetworkOptions options) => new(
        options.AdaptsConvolutions ? ["Transformer2DModel", "ResnetBlock2D", "Downsample2D", "Upsample2D"] : ["Transformer2DModel"],
        ["CLIPAttention", "CLIPSdpaAttention", "CLIPMLP"]);

    /// <summary>Whether a site is among them.</summary>
    public bool Include(AdapterSite site) => site.Layer.Owners.Any((site.Part == NetworkPart.UNet ? UNet : TextEncoder).Contains);
}
