using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Generation;

/// <summary>Between pictures and latents as the U-Net has them.</summary>
internal static class LatentPictures
{
    /// <summary>The mean latent of pictures, scaled, [B, 4, H/8, W/8]; the caller's scope owns it.</summary>
    /// <param name="images">[B, 3, H, W], −1..1; of tiles one alone.</param>
    /// <param name="tile">Side of tiles in px; 0 encodes them whole.</param>
    public static Tensor EncodeScaled(this StableDiffusion model, Tensor images, int tile)
    {
        using var scope = NewDisposeScope();
        var (mean, _) = tile == 0 ? model.Vae.Encode(images) : model.Vae.EncodeTiled(images, tile / Core.LatentSize.CellPixels);
        return (mean * model.Vae.ScaleFactor).MoveToOuterDisposeScope();
    }

    /// <summary>A latent as a picture, [1, 3, H, W], about −1..1; the caller's scope owns it.</summary>
    /// <param name="latent">Scaled, [1, 4, H/8, W/8].</param>
    /// <param name="tile">Side of tiles in px; 0 decodes it whole.</param>
    public static Tensor DecodeScaled(this StableDiffusion model, Tensor latent, int tile)
    {
        using var scope = NewDisposeScope();
        var plain = latent / model.Vae.ScaleFactor;
        return (tile == 0 ? model.Vae.Decode(plain) : model.Vae.DecodeTiled(plain, tile / Core.LatentSize.CellPixels)).MoveToOuterDisposeScope();
    }
}
