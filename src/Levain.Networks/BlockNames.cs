namespace Levain.Networks;

/// <summary>
/// The 26 places that block weights speak of: BASE (the text encoder), IN00 to IN11, M00, OUT00 to OUT11; and the shorter lists that leave out places where a
/// kind of network has nothing.
/// </summary>
/// <remarks>sd-webui-lora-block-weight, <c>scripts/lora_block_weight.py</c>; layers are known by the names they have inside the webui.</remarks>
public static class BlockNames
{
    private const int Side = 12, SidesXl = 9;

    /// <summary>All 26, for networks that adapt convolutions in SD 1 and 2.</summary>
    public static IReadOnlyList<string> All { get; } = ["BASE", .. Numbered("IN", Enumerable.Range(0, Side)), "M00", .. Numbered("OUT", Enumerable.Range(0, Side))];

    /// <summary>Names by the length of a list of weights: 12 and 20 for SDXL, 17 for attention alone in SD 1 and 2, 26 for everything; 61 for Flux, which has other places.</summary>
    public static IReadOnlyDictionary<int, IReadOnlyList<string>> ByLength { get; } = new Dictionary<int, IReadOnlyList<string>>
    {
        [12] = ["BASE", .. Numbered("IN", [4, 5, 7, 8]), "M00", .. Numbered("OUT", Enumerable.Range(0, 6))],
        [17] = ["BASE", .. Numbered("IN", [1, 2, 4, 5, 7, 8]), "M00", .. Numbered("OUT", Enumerable.Range(3, SidesXl))],
        [20] = ["BASE", .. Numbered("IN", Enumerable.Range(0, SidesXl)), "M00", .. Numbered("OUT", Enumerable.Range(0, SidesXl))],
        [26] = All,
        [61] = ["CLIP", "T5", "IN", .. Numbered("D", Enumerable.Range(0, 19)), .. Numbered("S", Enumerable.Range(0, 38)), "OUT"],
    };

    /// <summary>The place of a layer among the 26 by its name inside the webui; −1 for layers outside all blocks.</summary>
    /// <param name="layer"><c>diffusion_model_input_blocks_1_1_proj_in</c>, <c>transformer_text_model_encoder_layers_0_mlp_fc1</c>.</param>
    public static int IndexOf(string layer)
    {
        if (layer.Contains("embedders", StringComparison.Ordinal) || layer.Contains("transformer_resblocks", StringComparison.Ordinal)) return 0;
        for (var i = Side - 1; i >= 0; i--) if (layer.Contains($"diffusion_model_output_blocks_{i}_", StringComparison.Ordinal)) return 2 + Side + i;
        if (layer.Contains("diffusion_model_middle_block_", StringComparison.Ordinal)) return 1 + Side;
        for (var i = Side - 1; i >= 0; i--) if (layer.Contains($"diffusion_model_input_blocks_{i}_", StringComparison.Ordinal)) return 1 + i;
        return layer.Contains("encoder", StringComparison.Ordinal) ? 0 : -1;
    }

    /// <summary>A layer's name inside the webui.</summary>
    public static string WebuiName(AdapterSite site) => (site.Part == NetworkPart.TextEncoder ? "transformer_" + site.Layer.Key : "diffusion_model_" + LayerNames.Ldm(site.Layer.Key)).Replace('.', '_');

    private static IEnumerable<string> Numbered(string name, IEnumerable<int> numbers) => numbers.Select(number => $"{name}{number:00}");
}
