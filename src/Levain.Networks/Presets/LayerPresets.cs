using Levain.Core;

namespace Levain.Networks;

/// <summary>Named choices of layers: LyCORIS' presets.</summary>
/// <remarks>LyCORIS 3.3.0 <c>lycoris/config.py</c>, as far as it concerns SD 1.x.</remarks>
[Catalog]
public static partial class LayerPresets
{
    private static readonly string[] Transformer = ["Transformer2DModel"], Blocks = ["ResnetBlock2D", "Downsample2D", "Upsample2D"];
    private static readonly string[] Time = ["time_embedding.linear_1", "time_embedding.linear_2"], Ends = ["conv_in", "conv_out"];
    private static readonly string[] TextEncoder = ["CLIPAttention", "CLIPSdpaAttention", "CLIPMLP"];

    /// <summary>All presets.</summary>
    public static partial IReadOnlyList<LayerPreset> All { get; }

    /// <summary>The preset of that name, or null.</summary>
    public static LayerPreset? Named(string name) => All.FirstOrDefault(preset => preset.Name == name);

    /// <summary>Everything.</summary>
    public static LayerPreset Full { get; } = new("full", "Everything: transformers, resnets, samplers, time embedding, first and last convolution, text encoder.", new()
    {
        UNet = [.. Transformer, .. Blocks],
        UNetNames = ["conv_in", "conv_out", .. Time],
        TextEncoder = TextEncoder,
    });

    /// <summary>Everything that is linear.</summary>
    public static LayerPreset FullLin { get; } = new("full-lin", "Everything but convolutions larger than 1x1.", new()
    {
        UNet = [.. Transformer, "ResnetBlock2D"],
        UNetNames = Time,
        TextEncoder = TextEncoder,
        Convolutions = false,
    });

    /// <summary>Transformers and text encoder.</summary>
    public static LayerPreset AttnMlp { get; } = new("attn-mlp", "The transformers and the text encoder: the layers of kohya's LoRA.", new()
    {
        UNet = Transformer,
        TextEncoder = TextEncoder,
        Convolutions = false,
    });

    /// <summary>Attention alone.</summary>
    public static LayerPreset AttnOnly { get; } = new("attn-only", "Attention alone, in the U-Net and the text encoder.", new()
    {
        UNet = ["CrossAttention", "SelfAttention"],
        TextEncoder = ["CLIPAttention", "CLIPSdpaAttention"],
        Convolutions = false,
    });

    /// <summary>All of the U-Net.</summary>
    public static LayerPreset UnetOnly { get; } = new("unet-only", "As full, without the text encoder.", Full.Targets with { TextEncoder = [] });

    /// <summary>The U-Net's transformers.</summary>
    public static LayerPreset UnetTransformerOnly { get; } = new("unet-transformer-only", "The U-Net's transformers alone.", AttnMlp.Targets with { TextEncoder = [] });

    /// <summary>The U-Net's convolutions.</summary>
    public static LayerPreset UnetConvblockOnly { get; } = new("unet-convblock-only", "The U-Net's resnets and samplers, first and last convolution.", new()
    {
        UNet = Blocks,
        UNetNames = Ends,
    });

    /// <summary>What (IA)³ is for.</summary>
    public static LayerPreset Ia3 { get; } = new("ia3", "Keys, values and the last layer of each feed-forward, the latter on their inputs: what (IA)3 is meant for.", new()
    {
        UNetNames = ["to_k", "to_v", "ff.net.2"],
        TextEncoderNames = ["k_proj", "v_proj", "mlp.fc2"],
        Convolutions = false,
        Suffixes = true,
        ByName = new Dictionary<string, AdapterChange> { ["mlp.fc2"] = new() { Form = OnInput }, ["ff.net.2"] = new() { Form = OnInput } },
    });

    private static AdapterForm OnInput(AdapterForm form) => form with { OnInput = true };
}

/// <summary>A named choice of layers.</summary>
/// <param name="Name">Name in run files, and LyCORIS' own.</param>
/// <param name="Summary">What it chooses, in a sentence.</param>
/// <param name="Targets">The choice.</param>
public sealed record LayerPreset(string Name, string Summary, LayerTargets Targets);
