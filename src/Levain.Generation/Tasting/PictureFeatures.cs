using Levain.Core;
using Levain.Diffusion;
using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Generation;

/// <summary>What the base's U-Net sees in places of pictures: the activations of one of its layers, noise laid on the picture.</summary>
/// <remarks>
/// Tang et al. 2023, https://arxiv.org/abs/2306.03881: such activations tell parts of things apart without having been trained to. Noise, timestep and the empty prompt are the same
/// for all pictures, so that pictures alone make the difference; the layer is the last resnet of the lowest level but one on the way down, whose cells are 32 px in SD 1.
/// </remarks>
internal sealed class PictureFeatures(StableDiffusion model, PixelSize size) : IDisposable
{
    private const int Timestep = 261, Seed = 1;      // the paper's for Stable Diffusion; any seed

    private Tensor? nothing;          // the empty prompt, disposed with this
    private readonly ModelSigmas sigmas = new(NoiseSchedule.Sd1ForSampling());

    /// <summary>The features of a picture, [cells, C], fp32; the caller's scope owns them.</summary>
    /// <param name="picture">Of any size: it is cut to the size drawn.</param>
    public Tensor Of(Picture picture)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var latent = model.EncodeScaled(picture.To(size, ResizeMode.CropAndResize).ToTensor(), tile: 0);
        using var source = new SeedNoise(NoiseKind.Cpu, Seed, latent.shape[1..]);
        var share = sigmas.Schedule.AlphasCumprod[Timestep];
        var noisy = latent * Math.Sqrt(share) + source.Next().unsqueeze(0).to(latent.device) * Math.Sqrt(1 - share);
        if (model.UNet.Spec.FurtherChannels > 0) noisy = cat([noisy, InitialPicture.FurtherForNoise(model, size, 1, tile: 0)], 1);

        Tensor? seen = null;
        var hook = Layer().register_forward_hook((_, _, _, map) =>
        {
            seen = map.to(ScalarType.Float32, copy: true).DetachFromDisposeScope();
            return map;
        });
        model.UNet.forward(noisy, full([1], Timestep, ScalarType.Float32, latent.device), nothing ??= Nothing().DetachFromDisposeScope());
        hook.remove();
        using var kept = seen!;
        return kept[0].flatten(1).t().contiguous().cpu().MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose() => nothing?.Dispose();

    private ResnetBlock2D Layer()
    {
        var place = $"down_blocks.{Math.Max(model.UNet.Spec.Channels.Count - 2, 0)}.resnets.";
        return (ResnetBlock2D)model.UNet.named_modules().Last(layer => layer.module is ResnetBlock2D && layer.name.StartsWith(place, StringComparison.Ordinal)).module;
    }

    private Tensor Nothing()
    {
        using var kept = new EncodedPrompts();
        using var words = new EmbeddingShelf((int)model.TextEncoder.Spec.Width);
        return new Conditioning(model.TextEncoder, Emphasis.Original, 1, words, kept, null).Negative("", 1).At(0).clone();
    }
}
