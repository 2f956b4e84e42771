using System.Text.RegularExpressions;

namespace Levain.Networks;

/// <summary>How the field's programs spell a layer in a network file, and what they call an adapter's tensors.</summary>
/// <remarks>From kohya's sd-scripts, diffusers 0.32 (today's names and those of its attention processors), PEFT, OneTrainer (OMI), SimpleTuner and the webui.</remarks>
public static partial class LayerNames
{
    private static readonly (string Spelt, string Part)[] Parts =
    [
        (".lora_A.default.weight", "lora_down.weight"), (".lora_B.default.weight", "lora_up.weight"),
        (".lora_A.weight", "lora_down.weight"), (".lora_B.weight", "lora_up.weight"),
        (".lora_magnitude_vector.default.weight", "dora_scale"), (".lora_magnitude_vector.weight", "dora_scale"), (".lora_magnitude_vector", "dora_scale"),
        (".lora_linear_layer.down.weight", "lora_down.weight"), (".lora_linear_layer.up.weight", "lora_up.weight"),
        ("_lora.down.weight", "lora_down.weight"), ("_lora.up.weight", "lora_up.weight"),
        (".lora.down.weight", "lora_down.weight"), (".lora.up.weight", "lora_up.weight"),
        .. new[]
        {
            "lora_down.weight", "lora_mid.weight", "lora_up.weight", "alpha", "scale", "dora_scale",
            "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2",
            "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2",
            "a1.weight", "a2.weight", "b1.weight", "b2.weight", "bm.weight", "diff", "diff_b", "w_norm", "b_norm",
            "oft_blocks", "oft_diag", "rescale", "on_input", "bias_indices", "bias_values", "bias_size",
        }.Select(part => ("." + part, part)),
    ];

    /// <summary>kohya's: prefix and path with every dot as an underscore.</summary>
    /// <param name="part">Text encoder or U-Net.</param>
    /// <param name="key">Module path as in diffusers or transformers.</param>
    public static string Kohya(NetworkPart part, string key) => (part == NetworkPart.UNet ? "lora_unet_" : "lora_te_") + key.Replace('.', '_');

    /// <summary>Every spelling of a layer, kohya's first.</summary>
    public static IEnumerable<string> All(NetworkPart part, string key)
    {
        yield return Kohya(part, key);
        yield return "base_model.model." + key;
        yield return "lycoris_" + key.Replace('.', '_');
        if (part == NetworkPart.TextEncoder)
        {
            yield return "lora_te1_" + key.Replace('.', '_');
            yield return "text_encoder." + key;
            yield return "text_encoder." + TextProcessor(key);
            yield return "clip_l." + key;
            yield break;
        }
        var ldm = Ldm(key);
        yield return KohyaOft.Prefix + key.Replace('.', '_');
        yield return "unet." + key;
        yield return "unet." + Processor(key);
        yield return "unet." + ldm;
        yield return "lora_unet_" + ldm.Replace('.', '_');
        yield return "diffusion_model." + ldm;
        // OneTrainer's name of SD 1's first upsampler follows SDXL's layout.
        if (key == "up_blocks.0.upsamplers.0.conv") yield return "unet.output_blocks.2.2.conv";
    }

    /// <summary>A U-Net layer's path in single files of SD 1 and 2: <c>input_blocks.4.1.proj_in</c> for <c>down_blocks.1.attentions.0.proj_in</c>.</summary>
    public static string Ldm(string key)
    {
        switch (key)
        {
            case "conv_in": return "input_blocks.0.0";
            case "conv_out": return "out.2";
            case "conv_norm_out": return "out.0";
            case "time_embedding.linear_1": return "time_embed.0";
            case "time_embedding.linear_2": return "time_embed.2";
        }
        if (!(Block().Match(key) is { Success: true } match)) return key;
        var (side, kind, rest) = (match.Groups["side"].Value, match.Groups["kind"].Value, match.Groups["rest"].Value);
        var layer = int.Parse(match.Groups["layer"].Value);
        if (kind == "resnets") rest = rest switch
        {
            "norm1" => "in_layers.0",
            "conv1" => "in_layers.2",
            "time_emb_proj" => "emb_layers.1",
            "norm2" => "out_layers.0",
            "conv2" => "out_layers.3",
            "conv_shortcut" => "skip_connection",
            _ => rest,
        };
        if (side == "mid_block") return kind == "attentions" ? $"middle_block.1.{rest}" : $"middle_block.{2 * layer}.{rest}";
        var block = int.Parse(match.Groups["block"].Value);
        return (side, kind) switch
        {
            ("down_blocks", "downsamplers") => $"input_blocks.{3 * block + 3}.0.op",
            ("down_blocks", _) => $"input_blocks.{3 * block + layer + 1}.{(kind == "attentions" ? 1 : 0)}.{rest}",
            (_, "upsamplers") => $"output_blocks.{3 * block + 2}.{(block == 0 ? 1 : 2)}.conv",       // the first block up has no attention
            _ => $"output_blocks.{3 * block + layer}.{(kind == "attentions" ? 1 : 0)}.{rest}",
        };
    }

    /// <summary>Splits a tensor's key into the layer, as the file spells it, and the part in kohya's words; null where it names no part of an adapter.</summary>
    public static (string Module, string Part)? Split(string key)
    {
        foreach (var (spelt, part) in Parts)
            if (key.EndsWith(spelt, StringComparison.Ordinal)) return (key[..^spelt.Length], part);
        return BareWeight().Match(key) is { Success: true } match ? (match.Groups["module"].Value, "weight") : null;
    }

    // unet….attn2.processor.to_q_lora.down.weight; other layers keep their path.
    private static string Processor(string key) => Attention().Replace(key, ".${attention}.processor.${projection}");

    // text_encoder….self_attn.to_q_lora.down.weight
    private static string TextProcessor(string key) => TextAttention().Replace(key, "self_attn.to_${projection}");

    // IA3's scale has no name of its own: lora_unet_….weight
    [GeneratedRegex(@"^(?<module>(lora|lycoris)_[^.]+)\.weight$")]
    private static partial Regex BareWeight();

    [GeneratedRegex(@"^(?<side>down_blocks|up_blocks|mid_block)\.((?<block>\d+)\.)?(?<kind>resnets|attentions|upsamplers|downsamplers)\.(?<layer>\d+)\.(?<rest>.+)$")]
    private static partial Regex Block();

    [GeneratedRegex(@"\.(?<attention>attn\d)\.(?<projection>to_q|to_k|to_v|to_out)(\.0)?$")]
    private static partial Regex Attention();

    [GeneratedRegex(@"self_attn\.(?<projection>q|k|v|out)_proj$")]
    private static partial Regex TextAttention();
}
