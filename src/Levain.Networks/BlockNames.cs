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

    /// <summary>Blocks as they are listed: names and ranges (<c>IN05-OUT05</c>, either way round) with blanks between them, <c>NOT</c> in front for all others.</summary>
    /// <param name="text">The list.</param>
    /// <param name="names">The blocks there are. A name that is not among them is handed back as it is.</param>
    public static IReadOnlyList<string> Named(string text, IReadOnlyList<string> names)
    {
        var (not, listed) = Listed(text, names);
        return not ? [.. names.Except(listed), .. listed.Except(names)] : listed;
    }

    internal static (bool Not, IReadOnlyList<string> Names) Listed(string text, IReadOnlyList<string> names)
    {
        var words = text.Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).ToList();
        var not = words is ["NOT", ..];
        if (not) words.RemoveAt(0);
        return (not, [.. words.SelectMany(word => Range(word, names))]);
    }

    private static IEnumerable<string> Range(string word, IReadOnlyList<string> names)
    {
        if (word.Split('-') is not [var first, var last]) return [word];
        var all = names.ToList();
        var (from, to) = (all.IndexOf(first), all.IndexOf(last));
        return from < 0 || to < 0 ? [word] : all.Skip(Math.Min(from, to)).Take(Math.Abs(to - from) + 1);
    }

    private static IEnumerable<string> Numbered(string name, IEnumerable<int> numbers) => numbers.Select(number => $"{name}{number:00}");
}
