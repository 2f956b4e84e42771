using System.Text.RegularExpressions;

namespace Levain.Models;

// How files that hang on a base model are recognised, and for which base they are.
public sealed partial record ModelKind
{
    // The last parts of the names that trainers give to an adapter's tensors (kohya, LyCORIS, diffusers, PEFT).
    [GeneratedRegex(@"(?:^|[._])(?:lora_(?:up|down|mid|A|B)(?:\.[^.]+)?\.weight|lora(?:_linear_layer)?\.(?:up|down)\.weight|hada_[wt][12](?:_[ab])?|lokr_[wt][12](?:_[ab])?|oft_(?:blocks|diag)|dora_scale|on_input|lora_[AB])$")]
    private static partial Regex AdapterTensor();

    [GeneratedRegex(@"^(?:lora_(?:unet|te|te1|te2|transformer|prior_unet|prior_te)|lycoris|boft_unet|oft_unet)_")]
    private static partial Regex AdapterModule();

    [GeneratedRegex(@"^\d+/[01]/(?:linear|linear1|linear2)(?:\.\d+)?\.(?:weight|bias)$")]
    private static partial Regex HypernetworkTensor();

    /// <summary>SD 1 and 2 have one block per transformer, number 0.</summary>
    [GeneratedRegex(@"transformer_blocks[._][1-9]\d?[._]")]
    private static partial Regex DeeperTransformer();

    /// <summary>The text width a layer takes: key and value of cross-attention, in any spelling.</summary>
    [GeneratedRegex(@"attn2[._](?:processor[._])?to_[kv]")]
    private static partial Regex CrossAttentionKey();

    private static bool LooksLikeLora(IReadOnlyCollection<string> keys) => keys.Any(key => AdapterTensor().IsMatch(key) || AdapterModule().IsMatch(key));

    private static bool IsHypernetwork(string key) => HypernetworkTensor().IsMatch(key);

    private static ModelFamily LoraFamily(Func<string, long[]?> shape, IReadOnlyCollection<string> keys, IReadOnlyDictionary<string, string> metadata)
    {
        if (keys.Any(key => key.Contains("double_blocks", StringComparison.Ordinal) || key.Contains("joint_blocks", StringComparison.Ordinal)
            || key.StartsWith("lora_transformer_", StringComparison.Ordinal) || key.StartsWith("transformer.", StringComparison.Ordinal))) return ModelFamily.Transformer;
        if (keys.Any(IsSdxlName)) return ModelFamily.Sdxl;
        foreach (var key in keys)
        {
            if (!CrossAttentionKey().IsMatch(key) || InputWidth(key, shape(key)!) is not { } width) continue;
            switch (width)
            {
                case 768: return ModelFamily.Sd1;
                case 1024: return ModelFamily.Sd2;
                case 2048: return ModelFamily.Sdxl;
            }
        }
        foreach (var key in keys) // text encoder alone: its width
        {
            if (!key.Contains("self_attn", StringComparison.Ordinal) || InputWidth(key, shape(key)!) is not { } width) continue;
            if (width is 768) return ModelFamily.Sd1;
            if (width is 1024) return ModelFamily.Sd2;
        }
        var told = metadata.GetValueOrDefault("ss_base_model_version") ?? metadata.GetValueOrDefault("modelspec.architecture") ?? "";
        return told switch
        {
            _ when told.Contains("xl", StringComparison.OrdinalIgnoreCase) => ModelFamily.Sdxl,
            _ when told.StartsWith("sd_v1") || told.StartsWith("stable-diffusion-v1") => ModelFamily.Sd1,
            _ when told.StartsWith("sd_v2") || told.StartsWith("stable-diffusion-v2") => ModelFamily.Sd2,
            _ => ModelFamily.Unknown,
        };
    }

    /// <summary>Only SDXL has a second text encoder, or its U-Net's layers named as in the single file.</summary>
    private static bool IsSdxlName(string key) =>
        key.StartsWith("lora_te2_", StringComparison.Ordinal) || key.StartsWith("text_encoder_2.", StringComparison.Ordinal)
        || key.StartsWith("lora_unet_input_blocks_", StringComparison.Ordinal) || key.StartsWith("lora_unet_output_blocks_", StringComparison.Ordinal)
        || key.StartsWith("lora_unet_middle_block_", StringComparison.Ordinal)
        || DeeperTransformer().IsMatch(key);

    /// <summary>Columns of the tensor that multiplies a layer's input.</summary>
    private static long? InputWidth(string key, long[] shape) =>
        shape.Length >= 2 && (key.Contains("lora_down", StringComparison.Ordinal) || key.Contains("lora_A", StringComparison.Ordinal)
            || key.EndsWith(".down.weight", StringComparison.Ordinal) || key.EndsWith("hada_w1_b", StringComparison.Ordinal)) ? shape[1] : null;

    /// <summary>An embedding's few names, or one or two short vectors and nothing else.</summary>
    private static ModelKind? LooksLikeEmbedding(Func<string, long[]?> shape, IReadOnlyCollection<string> keys)
    {
        const int MaxVectors = 512;
        if (shape("clip_g") is not null || shape("clip_l") is not null) return new(FileContent.Embedding, shape("clip_g") is null ? ModelFamily.Sd1 : ModelFamily.Sdxl);
        var vectors = keys.FirstOrDefault(key => key == "emb_params" || key.StartsWith("string_to_param/", StringComparison.Ordinal))
            ?? (keys is { Count: 1 } && keys.First() is var only && !only.EndsWith(".weight", StringComparison.Ordinal)
                && shape(only) is [_] or [<= MaxVectors, _] ? keys.First() : null);
        if (vectors is null) return null;
        return new(FileContent.Embedding, shape(vectors)![^1] switch
        {
            768 => ModelFamily.Sd1,
            1024 => ModelFamily.Sd2,
            1280 => ModelFamily.Sdxl,
            _ => ModelFamily.Unknown,
        });
    }
}
