using Levain.Models.Clip;
using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>The layers of a checkpoint at their real sizes, without memory: what can hang where is known before any weight is read.</summary>
public sealed class ModelOutline : IDisposable
{
    private readonly UNet unet;
    private readonly ClipTextModel textEncoder;

    /// <summary>Reads sizes from the file's header.</summary>
    /// <exception cref="Core.CheckpointException">A tensor that tells a size is missing.</exception>
    public ModelOutline(CheckpointSource source)
    {
        var nowhere = new Compute(new(TorchSharp.DeviceType.META), ScalarType.Float32);
        unet = new(UNetSpec.Sd1.SizedBy(ComponentWeights.Of(source, ModelPart.UNet)), nowhere);
        textEncoder = new(ClipTextSpec.ClipL.SizedBy(ComponentWeights.Of(source, ModelPart.TextEncoder)), nowhere);
    }

    /// <summary>Layers of the U-Net.</summary>
    public IReadOnlyList<IAdaptableLayer> UNet => unet.AdaptableLayers;

    /// <summary>Layers of the text encoder.</summary>
    public IReadOnlyList<IAdaptableLayer> TextEncoder => textEncoder.AdaptableLayers;

    /// <inheritdoc/>
    public void Dispose()
    {
        unet.Dispose();
        textEncoder.Dispose();
    }
}
