using Levain.Core;
using Levain.Models;

namespace Levain.Generation;

/// <summary>About how much memory a request needs beyond the model itself, so that it is refused before a process dies of it.</summary>
/// <param name="UNetBytes">Feature maps of the denoising network at the larger of both passes.</param>
/// <param name="DecodeBytes">Feature maps of decoding one picture.</param>
/// <param name="Size">The size that decides.</param>
public readonly record struct MemoryEstimate(long UNetBytes, long DecodeBytes, PixelSize Size)
{
    // Maps alive at once beside the skips, in maps of the widest level at the full latent size; measured on SD 1.5 at 512 px, rounded up. Decoding: 1.9 GB at 512 px, 4.3 GB at 768 px, 1.5 GB there in tiles of 256 px.
    private const int UNetMaps = 12, DecoderMaps = 8, UpscaledPasses = 2, WholeMaps = 3, SparingMaps = 2;
    private const double Gibibyte = 1 << 30;

    /// <summary>The most that is needed at once.</summary>
    public long Bytes => Math.Max(UNetBytes, DecodeBytes);

    /// <summary>Estimates a request.</summary>
    public static MemoryEstimate Of(GenerationRequest request, StableDiffusion model)
    {
        var size = request.Hires?.SizesFor(request.Size).Drawn ?? request.Size;
        var (unet, vae) = (model.UNet.Spec, VaeSpec.Sd1);       // the autoencoder is not read for this alone
        var rows = request.Batch.Size * (request.Guidance.Apart ? 1 : UpscaledPasses);
        long cells = (long)size.ToLatent().Width * size.ToLatent().Height;
        long bytes = model.Compute.Dtype == TorchSharp.torch.ScalarType.Float32 ? sizeof(float) : sizeof(ushort);
        var tile = (long)request.TileSize * request.TileSize;
        var (decoded, kept) = request.TileSize > 0 && tile < size.Area ? (tile, size.Area * vae.Channels[0] * (cells > Vae.MostKept ? SparingMaps : WholeMaps)) : (size.Area, 0);
        return new(rows * cells * unet.Channels[0] * UNetMaps * bytes, (decoded * vae.Channels[1] * DecoderMaps + kept) * sizeof(float), size);
    }

    /// <summary>Adds a problem where more is needed than there is.</summary>
    /// <param name="available">Bytes that can be had.</param>
    public void Check(Problems problems, long available) => problems.Require(Bytes <= available, "size",
        FormattableString.Invariant($"is {Size}, which needs about {Bytes / Gibibyte:0.0} GB beside the model; {available / Gibibyte:0.0} GB are free."),
        UNetBytes > available ? "Use a smaller size or a smaller batch." : "Use a smaller size, or decode in tiles: --vae-tile 512.");
}
