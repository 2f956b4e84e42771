using Levain.Core;
using Levain.Models;

namespace Levain.Generation;

/// <summary>About how much memory a request needs beyond what is read of its checkpoints, so that it is refused before a process dies of it.</summary>
/// <param name="UNetBytes">Feature maps of the denoising network at the larger of both passes.</param>
/// <param name="DecodeBytes">Feature maps of decoding one picture.</param>
/// <param name="UnreadBytes">Weights that are not read yet, of every checkpoint the request draws with: all of them stay in memory.</param>
/// <param name="Size">The size that decides.</param>
public readonly record struct MemoryEstimate(long UNetBytes, long DecodeBytes, long UnreadBytes, PixelSize Size)
{
    // Maps alive at once beside the skips, in maps of the widest level at the full latent size; measured on SD 1.5 at 512 px, rounded up. Decoding: 1.4 GB at 512 px; at 768 px 1.5 GB in tiles of 256 px.
    private const int UNetMaps = 12, DecoderMaps = 6, UpscaledPasses = 2, WholeMaps = 3, SparingMaps = 2;
    private const double Gibibyte = 1 << 30;

    /// <summary>The most that is needed at once.</summary>
    public long Bytes => Math.Max(UNetBytes, DecodeBytes) + UnreadBytes;

    /// <summary>Estimates a request.</summary>
    /// <param name="models">The base, and what draws beside it: a refiner, a second pass's checkpoint.</param>
    public static MemoryEstimate Of(GenerationRequest request, params IReadOnlyCollection<StableDiffusion> models)
    {
        var size = request.Hires?.SizesFor(request.Size).Drawn ?? request.Size;
        var (width, vae) = (models.Max(model => model.UNetSpec.Channels[0]), VaeSpec.Sd1);       // the autoencoder is not read for this alone
        var rows = request.Batch.Size * (request.Guidance.Apart ? 1 : UpscaledPasses);
        long cells = (long)size.ToLatent().Width * size.ToLatent().Height;
        long bytes = models.Max(model => model.Compute.Dtype == TorchSharp.torch.ScalarType.Float32 ? sizeof(float) : sizeof(ushort));
        var tile = (long)request.TileSize * request.TileSize;
        var (decoded, kept) = request.TileSize > 0 && tile < size.Area ? (tile, size.Area * vae.Channels[0] * (cells > Vae.MostKept ? SparingMaps : WholeMaps)) : (size.Area, 0);
        return new(rows * cells * width * UNetMaps * bytes, (decoded * vae.Channels[1] * DecoderMaps + kept) * sizeof(float), models.Sum(model => model.UnreadBytes), size);
    }

    /// <summary>Adds a problem where more is needed than there is.</summary>
    /// <param name="available">Bytes that can be had.</param>
    public void Check(Problems problems, long available) => problems.Require(Bytes <= available, "size",
        FormattableString.Invariant($"is {Size}, which needs about {(Bytes - UnreadBytes) / Gibibyte:0.0} GB beside the weights{(UnreadBytes > 0 ? FormattableString.Invariant($", of which {UnreadBytes / Gibibyte:0.0} GB are still to be read") : "")}; {available / Gibibyte:0.0} GB are free."),
        UnreadBytes > available ? "Free some memory, or draw without a refiner or another checkpoint for the second pass." : UNetBytes + UnreadBytes > available ? "Use a smaller size or a smaller batch." : "Use a smaller size, or decode in tiles: --vae-tile 512.");
}
