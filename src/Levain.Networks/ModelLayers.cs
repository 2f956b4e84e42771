using Levain.Models;

namespace Levain.Networks;

/// <summary>Which model a layer belongs to.</summary>
public enum NetworkPart
{
    /// <summary>The text encoder; file names begin with <c>lora_te_</c>.</summary>
    TextEncoder,

    /// <summary>The U-Net; file names begin with <c>lora_unet_</c>.</summary>
    UNet,
}

/// <summary>The layers of a base that networks may hang on, each list in the order in which kohya visits them.</summary>
/// <param name="TextEncoder">Layers of the text encoder; empty where there is none.</param>
/// <param name="UNet">Layers of the U-Net; empty where there is none.</param>
public sealed record ModelLayers(IReadOnlyList<IAdaptableLayer> TextEncoder, IReadOnlyList<IAdaptableLayer> UNet)
{
    /// <summary>Every place for an adapter: the text encoder's first, as in kohya's files and order of random numbers.</summary>
    public IEnumerable<AdapterSite> Sites =>
        [.. TextEncoder.Select(layer => new AdapterSite(NetworkPart.TextEncoder, layer)), .. UNet.Select(layer => new AdapterSite(NetworkPart.UNet, layer))];
}

/// <summary>A place for an adapter: one layer, seen from network files.</summary>
public sealed record AdapterSite(NetworkPart Part, IAdaptableLayer Layer)
{
    /// <summary>The layer's name in kohya's files: <c>lora_unet_down_blocks_0_attentions_0_proj_in</c>.</summary>
    public string Name { get; } = LayerNames.Kohya(Part, Layer.Key);

    /// <summary>kohya's block, 0 to 24: 1–11 IN01–IN11, 12 MID, 13–24 OUT00–OUT11; −1 in the text encoder and outside the blocks.</summary>
    public int Block { get; } = Part == NetworkPart.UNet ? Blocks.IndexOf(Layer.Key) : -1;
}
