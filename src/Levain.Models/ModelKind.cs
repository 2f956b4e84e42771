using Levain.Formats;

namespace Levain.Models;

/// <summary>What a file holds.</summary>
public enum FileContent
{
    /// <summary>Nothing that is known here.</summary>
    Unknown,

    /// <summary>U-Net, VAE and text encoder together, or at least the U-Net under its single-file name.</summary>
    Checkpoint,

    /// <summary>A U-Net alone, as diffusers stores it.</summary>
    UNet,

    /// <summary>A VAE alone.</summary>
    Vae,

    /// <summary>A text encoder alone.</summary>
    TextEncoder,

    /// <summary>Low-rank or other adapters for a base model.</summary>
    Lora,

    /// <summary>A textual inversion.</summary>
    Embedding,

    /// <summary>A hypernetwork of the webui.</summary>
    Hypernetwork,

    /// <summary>A ControlNet.</summary>
    ControlNet,
}

/// <summary>Which base models belong together.</summary>
public enum ModelFamily
{
    /// <summary>Cannot be told, or none of these.</summary>
    Unknown,

    /// <summary>Stable Diffusion 1.x.</summary>
    Sd1,

    /// <summary>Stable Diffusion 2.x.</summary>
    Sd2,

    /// <summary>Stable Diffusion XL.</summary>
    Sdxl,

    /// <summary>The refiner of Stable Diffusion XL.</summary>
    SdxlRefiner,

    /// <summary>SDXL with blocks taken out (SSD-1B, Vega): another layout.</summary>
    SdxlDistilled,

    /// <summary>A diffusion transformer (Flux, SD 3 and later).</summary>
    Transformer,
}

/// <summary>What a base model's U-Net takes in besides the latent.</summary>
public enum ModelVariant
{
    /// <summary>Nothing: 4 channels.</summary>
    Base,

    /// <summary>Mask and masked picture: 9 channels.</summary>
    Inpainting,

    /// <summary>The picture to be edited: 8 channels.</summary>
    InstructPix2Pix,

    /// <summary>A depth map: 5 channels.</summary>
    Depth,
}

/// <summary>What a base model predicts, as far as its file tells.</summary>
public enum PredictionHint
{
    /// <summary>Keys do not tell; the user must.</summary>
    Undecidable,

    /// <summary>The noise.</summary>
    Epsilon,

    /// <summary>The velocity.</summary>
    V,

    /// <summary>EDM preconditioning (Playground 2.5).</summary>
    Edm,

    /// <summary>EDM preconditioning of a v-prediction (CosXL).</summary>
    EdmV,
}

/// <summary>What a file is: told from its keys, shapes and metadata, never from its name.</summary>
/// <param name="Content">What it holds.</param>
/// <param name="Family">The base model it is, or is made for.</param>
/// <param name="Variant">Extra inputs of a checkpoint's U-Net.</param>
public sealed partial record ModelKind(FileContent Content, ModelFamily Family = ModelFamily.Unknown, ModelVariant Variant = ModelVariant.Base)
{
    /// <summary>What a checkpoint predicts.</summary>
    public PredictionHint Prediction { get; init; }

    /// <summary>Whether a checkpoint says that it was trained down to zero terminal SNR.</summary>
    public bool ZeroTerminalSnr { get; init; }

    /// <summary>The kind in words, with its article: <c>an SDXL LoRA</c>, <c>an SD 1.x inpainting checkpoint</c>, <c>a VAE</c>.</summary>
    public string Name
    {
        get
        {
            var variant = Variant switch
            {
                ModelVariant.Inpainting => "inpainting ",
                ModelVariant.InstructPix2Pix => "InstructPix2Pix ",
                ModelVariant.Depth => "depth ",
                _ => "",
            };
            var content = Content switch
            {
                FileContent.Checkpoint => "checkpoint",
                FileContent.UNet => "U-Net alone (diffusers component)",
                FileContent.Vae => "VAE alone",
                FileContent.TextEncoder => "text encoder alone",
                FileContent.Lora => "LoRA",
                FileContent.Embedding => "embedding (textual inversion)",
                FileContent.Hypernetwork => "hypernetwork",
                FileContent.ControlNet => "ControlNet",
                _ => "file of unknown content",
            };
            var family = Family == ModelFamily.Unknown ? "" : FamilyName + " ";
            var words = family + variant + content;
            return $"{(words[0] is 'S' or 'A' or 'e' or 'E' or 'i' or 'I' or 'L' ? "an" : "a")} {words}"; // "an es-dee", "an el-oh-ar-ay"
        }
    }

    /// <summary>The family in words: <c>SD 1.x</c>, <c>SDXL</c>.</summary>
    public string FamilyName => Family switch
    {
        ModelFamily.Sd1 => "SD 1.x",
        ModelFamily.Sd2 => "SD 2.x",
        ModelFamily.Sdxl => "SDXL",
        ModelFamily.SdxlRefiner => "SDXL refiner",
        ModelFamily.SdxlDistilled => "SDXL (distilled: fewer blocks)",
        ModelFamily.Transformer => "diffusion transformer (Flux, SD 3)",
        _ => "unknown",
    };

    /// <summary>Looks at a file's keys, shapes and metadata.</summary>
    public static ModelKind Detect(TensorFile file) => Detect(name => file.Entries.GetValueOrDefault(name)?.Shape, file.Entries.Keys, file.Metadata);

    /// <summary>The same for keys and shapes from anywhere.</summary>
    /// <param name="shape">Shape of a key, null where there is no such key.</param>
    /// <param name="keys">All keys.</param>
    /// <param name="metadata">The file's metadata.</param>
    public static ModelKind Detect(Func<string, long[]?> shape, IEnumerable<string> keys, IReadOnlyDictionary<string, string> metadata)
    {
        var all = keys as IReadOnlyCollection<string> ?? [.. keys];
        if (Has("control_model.") || Has("controlnet_cond_embedding.") || Has("controlnet_down_blocks.")) return new(FileContent.ControlNet);
        if (Has("model.diffusion_model.")) return OfUNet(SingleFileShape, all, metadata);
        if (LooksLikeLora(all)) return new(FileContent.Lora, LoraFamily(shape, all, metadata));
        if (all.Any(IsHypernetwork)) return new(FileContent.Hypernetwork);
        if (LooksLikeEmbedding(shape, all) is { } embedding) return embedding;
        if (shape("conv_in.weight") is not null && Has("down_blocks.")) return OfUNet(shape, all, metadata) with { Content = FileContent.UNet };
        if (Has("first_stage_model.") || Has("decoder.conv_in.") || Has("decoder.up") || Has("encoder.down")) return new(FileContent.Vae);
        if (Has("text_model.") || Has("cond_stage_model.") || Has("encoder.layers.")) return new(FileContent.TextEncoder);
        return new(FileContent.Unknown);

        bool Has(string prefix) => all.Any(key => key.StartsWith(prefix, StringComparison.Ordinal));

        // SD 1, 2 and XL agree on where the keys below lie, so one map serves the question.
        long[]? SingleFileShape(string name) => KeyMap.Sd1.ToSingleFile(ModelPart.UNet, name) is { } place ? shape(place.Key) : null;
    }

    /// <summary>What a U-Net with these shapes (by diffusers names) belongs to.</summary>
    private static ModelKind OfUNet(Func<string, long[]?> unet, IReadOnlyCollection<string> keys, IReadOnlyDictionary<string, string> metadata)
    {
        var input = unet("conv_in.weight");
        var variant = input is [_, var channels, ..] ? channels switch
        {
            9 => ModelVariant.Inpainting,
            8 => ModelVariant.InstructPix2Pix,
            5 => ModelVariant.Depth,
            _ => ModelVariant.Base,
        } : ModelVariant.Base;
        var family = FamilyOf(unet, keys);
        var spec = metadata.GetValueOrDefault("modelspec.prediction_type");
        var marked = keys.Contains("edm_vpred.sigma_max") ? PredictionHint.EdmV
            : keys.Contains("edm_mean") ? PredictionHint.Edm
            : keys.Contains("v_pred") || spec is "v" ? PredictionHint.V
            : spec is "epsilon" || family is not (ModelFamily.Sd2 or ModelFamily.Unknown) ? PredictionHint.Epsilon
            : PredictionHint.Undecidable;
        return new(FileContent.Checkpoint, family, variant) { Prediction = marked, ZeroTerminalSnr = keys.Contains("ztsnr") };
    }

    private static ModelFamily FamilyOf(Func<string, long[]?> unet, IReadOnlyCollection<string> keys)
    {
        const int RealWidth = 320, SdxlDepth = 10;
        const string Deepest = "down_blocks.2.attentions.0.transformer_blocks.";
        if (unet("down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight") is [_, var context])
        {
            switch (context)
            {
                case 768: return ModelFamily.Sd1;
                case 1024: return ModelFamily.Sd2;
                case 1280: return ModelFamily.SdxlRefiner;
                case 2048: return IsDistilled() ? ModelFamily.SdxlDistilled : ModelFamily.Sdxl;
            }
        }
        // Any other width is no published model: the text encoder and the layout tell.
        if (keys.Any(key => key.StartsWith("conditioner.embedders.1.", StringComparison.Ordinal))) return ModelFamily.Sdxl;
        if (keys.Any(key => key.StartsWith("cond_stage_model.model.", StringComparison.Ordinal))) return ModelFamily.Sd2;
        if (unet("add_embedding.linear_1.weight") is not null) return ModelFamily.Sdxl;
        return unet("down_blocks.0.attentions.1.transformer_blocks.0.attn2.to_k.weight") is null ? ModelFamily.Unknown : ModelFamily.Sd1;

        bool IsDistilled() => unet("conv_in.weight") is [RealWidth, ..]
            && Enumerable.Range(0, SdxlDepth).Any(n => unet($"{Deepest}{n}.norm1.weight") is null);
    }
}
