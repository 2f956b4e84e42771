namespace Levain.Models;

/// <summary>The spellings in which a part's own file may name its tensors.</summary>
internal static class ComponentKeys
{
    // diffusers before 0.17 named a VAE's attention like this.
    private static readonly (string Old, string New)[] VaeAttention = [(".query.", ".to_q."), (".key.", ".to_k."), (".value.", ".to_v."), (".proj_attn.", ".to_out.0.")];

    /// <summary>The internal name of a key, or null for what is no weight of the part.</summary>
    public static string? Name(ModelPart part, string key) => part switch
    {
        ModelPart.Vae => VaeName(key),
        ModelPart.TextEncoder or ModelPart.TextEncoder2 => TextName(key),
        _ => key,
    };

    /// <summary>Whether a VAE tensor is one of the four matrices that LDM wrote as 1×1 convolutions.</summary>
    public static bool IsVaeAttentionMatrix(ModelPart part, string name) =>
        part == ModelPart.Vae && name.Contains(".attentions.", StringComparison.Ordinal) && name.Contains(".to_", StringComparison.Ordinal)
        && name.EndsWith(".weight", StringComparison.Ordinal);

    private static string? VaeName(string key)
    {
        const string LdmRoot = "first_stage_model.";
        var ldm = key.StartsWith(LdmRoot, StringComparison.Ordinal) ? key : LdmRoot + key;
        if (KeyMap.Sd1.ToDiffusers(ldm) is { } mapped) return mapped.Names[0];
        if (!key.StartsWith("encoder.", StringComparison.Ordinal) && !key.StartsWith("decoder.", StringComparison.Ordinal)) return null;
        foreach (var (old, current) in VaeAttention) key = key.Replace(old, current, StringComparison.Ordinal);
        return key;
    }

    private static string? TextName(string key)
    {
        const string Tower = "text_model.";
        if (key.EndsWith("position_ids", StringComparison.Ordinal)) return null;
        return key.StartsWith("embeddings.", StringComparison.Ordinal) || key.StartsWith("encoder.", StringComparison.Ordinal) || key.StartsWith("final_layer_norm.", StringComparison.Ordinal)
            ? Tower + key
            : key;
    }
}
