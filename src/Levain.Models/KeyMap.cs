namespace Levain.Models;

/// <summary>The models a checkpoint is made of. Names inside a part are those of diffusers and transformers.</summary>
public enum ModelPart
{
    /// <summary>Predicts the noise: <c>down_blocks.0.resnets.0.conv1.weight</c>.</summary>
    UNet,

    /// <summary>Pictures to latents and back: <c>encoder.down_blocks.0.resnets.0.conv1.weight</c>.</summary>
    Vae,

    /// <summary>CLIP-L, or SD2's OpenCLIP-H: <c>text_model.encoder.layers.0.self_attn.q_proj.weight</c>.</summary>
    TextEncoder,

    /// <summary>SDXL's OpenCLIP-bigG.</summary>
    TextEncoder2,
}

/// <summary>What happens to a tensor on its way from a single file to the part's own names.</summary>
public enum KeyTransform
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>[C, C, 1, 1] becomes [C, C]: the VAE's attention was written as 1×1 convolutions.</summary>
    Squeeze,

    /// <summary>Rows are cut in three: query, key, value.</summary>
    Split3,

    /// <summary>[C, P] becomes [P, C].</summary>
    Transpose,

    /// <summary>The tensor has no counterpart.</summary>
    Drop,
}

/// <summary>Where a single-file tensor goes.</summary>
/// <param name="Part">The model it belongs to.</param>
/// <param name="Names">Its name there; three for <see cref="KeyTransform.Split3"/>, none for <see cref="KeyTransform.Drop"/>.</param>
/// <param name="Transform">What happens to it on the way.</param>
public sealed record MappedKey(ModelPart Part, IReadOnlyList<string> Names, KeyTransform Transform);

/// <summary>
/// Names of a single-file checkpoint (as LDM, the first trainer, wrote them) and those of diffusers and transformers, in both directions.
/// The map is a list of module pairs that follow from a model's block layout; what lies below a module keeps its name.
/// </summary>
/// <remarks>Layouts: CompVis/latent-diffusion <c>openaimodel.py</c> and <c>model.py</c>, mlfoundations/open_clip <c>transformer.py</c>; names opposite: huggingface/diffusers, transformers.</remarks>
public sealed class KeyMap
{
    private const int ResnetsPerLevel = 2;
    private const int VaeLevels = 4;
    private const string UNetRoot = "model.diffusion_model.";
    private const string VaeRoot = "first_stage_model.";
    private const string ClipTower = "text_model.";

    private readonly Dictionary<string, (ModelPart Part, string Name)> toDiffusers = new(StringComparer.Ordinal);
    private readonly Dictionary<(ModelPart Part, string Name), string> toSingleFile = [];
    private readonly Dictionary<ModelPart, OpenClip> openClips = [];

    private KeyMap() { }

    /// <summary>SD 1.x: four levels, three with attention, CLIP-L.</summary>
    public static KeyMap Sd1 { get; } = new KeyMap()
        .WithUNet(attention: [true, true, true, false])
        .WithVae()
        .WithClip(ModelPart.TextEncoder, "cond_stage_model.transformer.");

    /// <summary>SD 2.x: SD 1.x' U-Net layout with OpenCLIP-H, whose last block is never run.</summary>
    public static KeyMap Sd2 { get; } = new KeyMap()
        .WithUNet(attention: [true, true, true, false])
        .WithVae()
        .WithOpenClip(ModelPart.TextEncoder, new("cond_stage_model.model.", FirstUnusedBlock: 23, Projects: false));

    /// <summary>SDXL: three levels, the first without attention, CLIP-L and OpenCLIP-bigG.</summary>
    public static KeyMap Sdxl { get; } = new KeyMap()
        .WithUNet(attention: [false, true, true])
        .WithVae()
        .WithClip(ModelPart.TextEncoder, "conditioner.embedders.0.transformer.")
        .WithOpenClip(ModelPart.TextEncoder2, new("conditioner.embedders.1.model.", FirstUnusedBlock: int.MaxValue, Projects: true));

    /// <summary>Where a single-file key goes, or null for a key that is no weight of these models (schedules, averages, position ids).</summary>
    public MappedKey? ToDiffusers(string key)
    {
        foreach (var (part, clip) in openClips)
        {
            if (key.StartsWith(clip.Root, StringComparison.Ordinal) && clip.ToDiffusers(key) is { } mapped) return mapped with { Part = part };
        }
        for (var end = key.LastIndexOf('.'); end > 0; end = key.LastIndexOf('.', end - 1))
        {
            if (!toDiffusers.TryGetValue(key[..end], out var module)) continue;
            return new(module.Part, [module.Name + key[end..]], IsVaeAttentionMatrix(module.Part, key) ? KeyTransform.Squeeze : KeyTransform.None);
        }
        return null;
    }

    /// <summary>
    /// The single-file key of a part's tensor, the transform that leads <em>from</em> there, and for <see cref="KeyTransform.Split3"/> which third it is;
    /// null for names these models do not have.
    /// </summary>
    public (string Key, KeyTransform Transform, int Third)? ToSingleFile(ModelPart part, string name)
    {
        if (openClips.TryGetValue(part, out var clip) && clip.ToSingleFile(name) is { } found) return found;
        for (var end = name.LastIndexOf('.'); end > 0; end = name.LastIndexOf('.', end - 1))
        {
            if (!toSingleFile.TryGetValue((part, name[..end]), out var module)) continue;
            var key = module + name[end..];
            return (key, IsVaeAttentionMatrix(part, key) ? KeyTransform.Squeeze : KeyTransform.None, 0);
        }
        return null;
    }

    private static bool IsVaeAttentionMatrix(ModelPart part, string key) =>
        part == ModelPart.Vae && key.Contains(".attn_1.", StringComparison.Ordinal) && key.EndsWith(".weight", StringComparison.Ordinal)
        && !key.EndsWith(".norm.weight", StringComparison.Ordinal);

    private KeyMap WithUNet(bool[] attention)
    {
        Add("time_embed.0", "time_embedding.linear_1");
        Add("time_embed.2", "time_embedding.linear_2");
        Add("label_emb.0.0", "add_embedding.linear_1");
        Add("label_emb.0.2", "add_embedding.linear_2");
        Add("input_blocks.0.0", "conv_in");
        Add("out.0", "conv_norm_out");
        Add("out.2", "conv_out");
        var levels = attention.Length;
        for (var level = 0; level < levels; level++)
        {
            // The way down counts blocks from 1 (0 is conv_in): two resnets and the downsampler a level.
            var block = 1 + level * (ResnetsPerLevel + 1);
            for (var i = 0; i < ResnetsPerLevel; i++, block++)
            {
                Resnet($"input_blocks.{block}.0", $"down_blocks.{level}.resnets.{i}");
                if (attention[level]) Add($"input_blocks.{block}.1", $"down_blocks.{level}.attentions.{i}");
            }
            Add($"input_blocks.{block}.0.op", $"down_blocks.{level}.downsamplers.0.conv");

            // The way up mirrors it with one resnet more; the upsampler hangs behind the level's last block.
            var attends = attention[levels - 1 - level];
            block = level * (ResnetsPerLevel + 1);
            for (var i = 0; i <= ResnetsPerLevel; i++, block++)
            {
                Resnet($"output_blocks.{block}.0", $"up_blocks.{level}.resnets.{i}");
                if (attends) Add($"output_blocks.{block}.1", $"up_blocks.{level}.attentions.{i}");
            }
            Add($"output_blocks.{block - 1}.{(attends ? 2 : 1)}.conv", $"up_blocks.{level}.upsamplers.0.conv");
        }
        Resnet("middle_block.0", "mid_block.resnets.0");
        Add("middle_block.1", "mid_block.attentions.0");
        Resnet("middle_block.2", "mid_block.resnets.1");
        return this;

        void Add(string ldm, string diffusers) => Pair(ModelPart.UNet, UNetRoot + ldm, diffusers);
        void Resnet(string ldm, string diffusers)
        {
            Add($"{ldm}.in_layers.0", $"{diffusers}.norm1");
            Add($"{ldm}.in_layers.2", $"{diffusers}.conv1");
            Add($"{ldm}.emb_layers.1", $"{diffusers}.time_emb_proj");
            Add($"{ldm}.out_layers.0", $"{diffusers}.norm2");
            Add($"{ldm}.out_layers.3", $"{diffusers}.conv2");
            Add($"{ldm}.skip_connection", $"{diffusers}.conv_shortcut");
        }
    }

    private KeyMap WithVae()
    {
        Add("quant_conv", "quant_conv");
        Add("post_quant_conv", "post_quant_conv");
        foreach (var side in (string[])["encoder", "decoder"])
        {
            Add($"{side}.conv_in", $"{side}.conv_in");
            Add($"{side}.norm_out", $"{side}.conv_norm_out");
            Add($"{side}.conv_out", $"{side}.conv_out");
            Resnet($"{side}.mid.block_1", $"{side}.mid_block.resnets.0");
            Resnet($"{side}.mid.block_2", $"{side}.mid_block.resnets.1");
            Add($"{side}.mid.attn_1.norm", $"{side}.mid_block.attentions.0.group_norm");
            Add($"{side}.mid.attn_1.q", $"{side}.mid_block.attentions.0.to_q");
            Add($"{side}.mid.attn_1.k", $"{side}.mid_block.attentions.0.to_k");
            Add($"{side}.mid.attn_1.v", $"{side}.mid_block.attentions.0.to_v");
            Add($"{side}.mid.attn_1.proj_out", $"{side}.mid_block.attentions.0.to_out.0");
        }
        for (var level = 0; level < VaeLevels; level++)
        {
            var up = VaeLevels - 1 - level; // LDM numbers the decoder's levels by resolution, diffusers by order of use
            for (var i = 0; i < ResnetsPerLevel; i++) Resnet($"encoder.down.{level}.block.{i}", $"encoder.down_blocks.{level}.resnets.{i}");
            for (var i = 0; i <= ResnetsPerLevel; i++) Resnet($"decoder.up.{up}.block.{i}", $"decoder.up_blocks.{level}.resnets.{i}");
            Add($"encoder.down.{level}.downsample.conv", $"encoder.down_blocks.{level}.downsamplers.0.conv");
            Add($"decoder.up.{up}.upsample.conv", $"decoder.up_blocks.{level}.upsamplers.0.conv");
        }
        return this;

        void Add(string ldm, string diffusers) => Pair(ModelPart.Vae, VaeRoot + ldm, diffusers);
        void Resnet(string ldm, string diffusers)
        {
            foreach (var layer in (string[])["norm1", "conv1", "norm2", "conv2"]) Add($"{ldm}.{layer}", $"{diffusers}.{layer}");
            Add($"{ldm}.nin_shortcut", $"{diffusers}.conv_shortcut");
        }
    }

    /// <summary>CLIP keeps transformers' names; some old files leave out the <c>text_model.</c> level.</summary>
    private KeyMap WithClip(ModelPart part, string root)
    {
        foreach (var module in (string[])["embeddings.token_embedding", "embeddings.position_embedding", "encoder", "final_layer_norm"])
        {
            toDiffusers.Add(root + module, (part, ClipTower + module));
            Pair(part, root + ClipTower + module, ClipTower + module);
        }
        return this;
    }

    private KeyMap WithOpenClip(ModelPart part, OpenClip clip)
    {
        openClips.Add(part, clip);
        return this;
    }

    private void Pair(ModelPart part, string ldm, string diffusers)
    {
        toDiffusers.Add(ldm, (part, diffusers));
        toSingleFile.Add((part, diffusers), ldm);
    }

    /// <summary>OpenCLIP's own names, with query, key and value in one matrix.</summary>
    private sealed record OpenClip(string Root, int FirstUnusedBlock, bool Projects)
    {
        private const string Blocks = "transformer.resblocks.";
        private const string Layers = "text_model.encoder.layers.";
        private const string Packed = "attn.in_proj_";
        private const string Attention = "self_attn.";

        private static readonly string[] Thirds = ["q_proj.", "k_proj.", "v_proj."];

        private static readonly (string Own, string Theirs)[] Outside =
        [
            ("positional_embedding", "text_model.embeddings.position_embedding.weight"),
            ("token_embedding.weight", "text_model.embeddings.token_embedding.weight"),
            ("ln_final.weight", "text_model.final_layer_norm.weight"),
            ("ln_final.bias", "text_model.final_layer_norm.bias"),
        ];

        private static readonly (string Own, string Theirs)[] Inside =
            [("ln_1.", "layer_norm1."), ("ln_2.", "layer_norm2."), ("attn.out_proj.", "self_attn.out_proj."), ("mlp.c_fc.", "mlp.fc1."), ("mlp.c_proj.", "mlp.fc2.")];

        public MappedKey? ToDiffusers(string key)
        {
            var own = key[Root.Length..];
            if (own == "logit_scale") return To(KeyTransform.Drop);
            if (own is "text_projection" or "text_projection.weight") return Projects ? To(KeyTransform.Transpose, "text_projection.weight") : To(KeyTransform.Drop);
            foreach (var (from, to) in Outside)
            {
                if (own == from) return To(KeyTransform.None, to);
            }
            if (!Split(own, Blocks, out var block, out var rest)) return null;
            if (block >= FirstUnusedBlock) return To(KeyTransform.Drop);
            if (rest.StartsWith(Packed, StringComparison.Ordinal))
                return To(KeyTransform.Split3, [.. Thirds.Select(third => $"{Layers}{block}.{Attention}{third}{rest[Packed.Length..]}")]);
            foreach (var (from, to) in Inside)
            {
                if (rest.StartsWith(from, StringComparison.Ordinal)) return To(KeyTransform.None, $"{Layers}{block}.{to}{rest[from.Length..]}");
            }
            return null;

            static MappedKey To(KeyTransform transform, params string[] names) => new(ModelPart.TextEncoder, names, transform);
        }

        public (string Key, KeyTransform Transform, int Third)? ToSingleFile(string name)
        {
            if (name == "text_projection.weight" && Projects) return ($"{Root}text_projection", KeyTransform.Transpose, 0);
            foreach (var (own, theirs) in Outside)
            {
                if (name == theirs) return (Root + own, KeyTransform.None, 0);
            }
            if (!Split(name, Layers, out var layer, out var rest)) return null;
            for (var third = 0; third < Thirds.Length; third++)
            {
                var start = Attention + Thirds[third];
                if (rest.StartsWith(start, StringComparison.Ordinal)) return ($"{Root}{Blocks}{layer}.{Packed}{rest[start.Length..]}", KeyTransform.Split3, third);
            }
            foreach (var (own, theirs) in Inside)
            {
                if (rest.StartsWith(theirs, StringComparison.Ordinal)) return ($"{Root}{Blocks}{layer}.{own}{rest[theirs.Length..]}", KeyTransform.None, 0);
            }
            return null;
        }

        private static bool Split(string text, string start, out int number, out string rest)
        {
            (number, rest) = (0, "");
            if (!text.StartsWith(start, StringComparison.Ordinal)) return false;
            var end = text.IndexOf('.', start.Length);
            if (end < 0 || !int.TryParse(text.AsSpan(start.Length, end - start.Length), out number)) return false;
            rest = text[(end + 1)..];
            return true;
        }
    }
}
