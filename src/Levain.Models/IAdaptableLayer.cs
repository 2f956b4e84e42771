using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>What a layer does with its weight.</summary>
public enum LayerKind
{
    /// <summary>y = x·Wᵀ + b; weight [out, in].</summary>
    Linear,

    /// <summary>Two-dimensional convolution; weight [out, in, kh, kw].</summary>
    Conv2d,

    /// <summary>Normalisation of groups of channels; weight [channels].</summary>
    GroupNorm,

    /// <summary>Normalisation over the last dimension; weight [width].</summary>
    LayerNorm,
}

/// <summary>Numbers of a layer that adapters need to build themselves. For all but <see cref="LayerKind.Conv2d"/> kernel and stride are (1, 1), padding (0, 0).</summary>
public sealed record LayerShape(LayerKind Kind, long In, long Out, (long H, long W) Kernel, (long H, long W) Stride, (long H, long W) Padding)
{
    /// <summary>Whether the layer is a convolution with a kernel larger than 1×1.</summary>
    public bool IsSpatial => Kind == LayerKind.Conv2d && (Kernel.H > 1 || Kernel.W > 1);

    /// <summary>Whether the layer normalises, so that its weight is one factor for each channel.</summary>
    public bool IsNorm => Kind is LayerKind.GroupNorm or LayerKind.LayerNorm;

    /// <summary>Whether every output position sees one input position: a linear layer, or a 1×1 convolution without stride and padding.</summary>
    public bool IsPointwise => Kind == LayerKind.Linear || (Kind == LayerKind.Conv2d && !IsSpatial && Stride == (1, 1) && Padding == (0, 0));

    /// <summary>A normalisation of so many channels.</summary>
    public static LayerShape OfNorm(LayerKind kind, long channels) => new(kind, channels, channels, (1, 1), (1, 1), (0, 0));
}

/// <summary>A layer of a model that networks can hang on. Nothing is replaced: a network fills <see cref="Patch"/>, detaching empties it.</summary>
public interface IAdaptableLayer
{
    /// <summary>Dotted module path inside its model, as in diffusers/transformers: <c>down_blocks.0.attentions.0.proj_in</c>, <c>text_model.encoder.layers.0.mlp.fc1</c>.</summary>
    string Key { get; }

    /// <summary>Class names of the modules around this layer, outermost first, as kohya's and LyCORIS' target lists name them (<c>CrossAttnDownBlock2D, Transformer2DModel, BasicTransformerBlock, CrossAttention</c>; text encoder <c>CLIPEncoderLayer, CLIPAttention</c>).</summary>
    IReadOnlyList<string> Owners { get; }

    /// <summary>Kind, widths and kernel.</summary>
    LayerShape Shape { get; }

    /// <summary>The base weight; owned by the layer, never requires a gradient while it is frozen. It may be kept narrower than <see cref="Dtype"/>, and be read-only then: see <see cref="Widen"/>.</summary>
    Tensor Weight { get; }

    /// <summary>Type in which the layer computes.</summary>
    ScalarType Dtype { get; }

    /// <summary>The base bias, or null.</summary>
    Tensor? Bias { get; }

    /// <summary>The layer's operation with another weight and bias in place of its own: W' = W + ΔW, b' = b + Δb. The caller's scope owns the result.</summary>
    Tensor Apply(Tensor x, Tensor weight, Tensor? bias);

    /// <summary>The gradient of the input that a gradient of the output asks for, by the layer's own weight: linear layers, and convolutions of stride 1. The caller's scope owns it.</summary>
    Tensor InputGradient(Tensor gradient);

    /// <summary>Keeps the weight from now on in the type in which it computes, in memory of its own: whoever writes to it, or uses it in every step, asks for that.</summary>
    void Widen();

    /// <summary>What hangs on this layer; null for the plain layer.</summary>
    ILayerPatch? Patch { get; set; }
}

/// <summary>Stands in for a layer's forward pass while something is attached to it.</summary>
public interface ILayerPatch
{
    /// <summary>The patched output, same shape as <c>layer.Apply(x, layer.Weight, layer.Bias)</c>; the caller's scope owns it.</summary>
    Tensor Forward(IAdaptableLayer layer, Tensor x);
}
