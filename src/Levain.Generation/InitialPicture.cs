using Levain.Core;
using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Generation;

/// <summary>A picture that drawing begins with, made ready: its latent, what is kept of it, and how a result is put back into it.</summary>
/// <remarks>AUTOMATIC1111's webui, <c>StableDiffusionProcessingImg2Img.init</c>; latents are the mean of the autoencoder's distribution, so that a seed gives one picture.</remarks>
internal sealed class InitialPicture
{
    private readonly Picture? colours;               // whose colours the result gets
    private readonly Picture? original;              // what the result is laid into, at its own size
    private readonly GrayMask? overlay;
    private readonly PixelArea? area;

    private InitialPicture(Tensor latent, LatentMask? mask, Tensor? further, Picture? colours, Picture? original, GrayMask? overlay, PixelArea? area, IReadOnlyList<string> notes)
    {
        (Latent, Mask, Further) = (latent, mask, further);
        (this.colours, this.original, this.overlay, this.area) = (colours, original, overlay, area);
        Notes = notes;
    }

    /// <summary>Its latent, scaled as the U-Net has it, [B, 4, H, W].</summary>
    public Tensor Latent { get; }

    /// <summary>What of it is kept while the rest is drawn; null where all is drawn.</summary>
    public LatentMask? Mask { get; }

    /// <summary>Mask and masked picture for an inpainting model, [B, 5, H, W]; null for others.</summary>
    public Tensor? Further { get; }

    /// <summary>What the user should know.</summary>
    public IReadOnlyList<string> Notes { get; }

    /// <param name="options">The picture and what is done with it.</param>
    /// <param name="noise">Noise of the pictures' seeds, [B, 4, H, W], for masked content that begins with it.</param>
    /// <param name="tile">Side in px of the tiles in which it is encoded; 0 encodes it whole.</param>
    /// <remarks>The caller's scope owns all tensors.</remarks>
    public static InitialPicture Of(Img2ImgOptions options, PixelSize size, StableDiffusion model, Func<Tensor> noise, int batch, int tile)
    {
        using var scope = NewDisposeScope();
        var notes = new List<string>();
        var (picture, inpaint) = (options.Init, options.Inpaint);
        var (mask, overlay, area) = inpaint is null ? (null, null, null) : Masks(inpaint, options.Resize, picture.Size, size, notes);
        if (area is null && options.Resize != ResizeMode.LatentUpscale) picture = picture.To(size, options.Resize);
        var original = mask is null ? null : picture;
        if (overlay is not null && overlay.Size != picture.Size) overlay = overlay.To(picture.Size, options.Resize);
        if (area is { } cut) picture = picture.Cropped(cut).To(size, ResizeMode.ResizeAndFill);
        if (mask is not null && inpaint!.Content != MaskedContent.Original) picture = HoleFilling.Fill(picture, mask);

        var image = picture.ToTensor();
        var latent = model.EncodeScaled(image, tile);
        var cells = size.ToLatent();
        if (options.Resize == ResizeMode.LatentUpscale) latent = LatentFilter.Bilinear.Resize(latent, cells.Height, cells.Width);
        latent = latent.expand(batch, -1, -1, -1).contiguous();
        LatentMask? kept = null;
        if (mask is not null)
        {
            var redrawn = OfLatent(mask, cells, inpaint!.Round).to(latent.device);
            if (inpaint.Content == MaskedContent.LatentNoise) latent = latent * (1 - redrawn) + noise() * redrawn;
            else if (inpaint.Content == MaskedContent.LatentNothing) latent = latent * (1 - redrawn);
            kept = new((1 - redrawn).MoveToOuterDisposeScope(), latent);
        }
        latent.MoveToOuterDisposeScope();
        var further = model.UNet.Spec.FurtherChannels > 0 ? FurtherOf(model, image, mask, inpaint, cells, tile).expand(batch, -1, -1, -1).contiguous().MoveToOuterDisposeScope() : null;
        return new(latent, kept, further, options.KeepsColours ? picture : null, original, overlay, area, notes);
    }

    /// <summary>What an inpainting model sees beside a latent that is drawn from noise: everything masked, a gray picture.</summary>
    public static Tensor FurtherForNoise(StableDiffusion model, PixelSize size, int batch, int tile)
    {
        using var scope = NewDisposeScope();
        var gray = model.EncodeScaled(zeros(1, 3, size.Height, size.Width), tile);
        return cat([ones_like(gray.narrow(1, 0, 1)), gray], 1).expand(batch, -1, -1, -1).contiguous().MoveToOuterDisposeScope();
    }

    /// <summary>A result in the colours it is to keep, laid into the original, which shows where the mask is black.</summary>
    public Picture PutBack(Picture drawn)
    {
        if (colours is not null) drawn = ColourMatch.Apply(drawn, colours);
        if (original is null || overlay is null) return drawn;
        var whole = area is { } place ? drawn.To(place.Size, ResizeMode.CropAndResize).Placed(place, original.Size) : drawn;
        var rgb = new byte[whole.Rgb.Length];
        for (var i = 0; i < rgb.Length; i++)
        {
            var alpha = byte.MaxValue - overlay.Levels[i / 3];
            rgb[i] = (byte)((original.Rgb[i] * alpha + whole.Rgb[i] * (byte.MaxValue - alpha) + byte.MaxValue / 2) / byte.MaxValue);
        }
        return new(whole.Size, rgb);
    }

    /// <summary>The mask at the size drawn, the mask results are laid by, and the part of the picture that is drawn where only that is.</summary>
    private static (GrayMask? Mask, GrayMask? Overlay, PixelArea? Area) Masks(InpaintOptions options, ResizeMode resize, PixelSize picture, PixelSize size, List<string> notes)
    {
        var mask = options.Round ? options.Mask.Rounded() : options.Mask;
        if (options.Invert) mask = mask.Inverted();
        mask = mask.Blurred(options.Blur);
        if (!options.OnlyMasked)
        {
            mask = mask.To(size, resize);
            return (mask, mask.Doubled(), null);
        }
        // A mask of another size is meant for the whole picture.
        if (mask.Size != picture) mask = mask.To(picture, ResizeMode.JustResize);
        if (PixelArea.Around(mask, options.Padding) is not { } around)
        {
            notes.Add("The mask is black, so that nothing in it could be drawn anew: the whole picture was drawn instead.");
            return (null, null, null);
        }
        var area = around.Shaped(size, mask.Size);
        return (mask.Cropped(area).To(size, ResizeMode.ResizeAndFill), mask, area);
    }

    /// <summary>A mask in latent cells, 0..1, [1, 1, H, W].</summary>
    private static Tensor OfLatent(GrayMask mask, LatentSize cells, bool round)
    {
        using var scope = NewDisposeScope();
        var small = GrayMask.Of(PictureFit.Of(Data.PillowFilter.Bicubic(PictureFit.PixelsOf(mask.AsPicture()), new(cells.Width, cells.Height))));
        var levels = tensor([.. small.Levels.Select(level => level / 255f)], 1, 1, cells.Height, cells.Width);
        return (round ? levels.round() : levels).MoveToOuterDisposeScope();
    }

    private static Tensor FurtherOf(StableDiffusion model, Tensor image, GrayMask? mask, InpaintOptions? options, LatentSize cells, int tile)
    {
        using var scope = NewDisposeScope();
        var redrawn = mask is null ? ones(1, 1, image.shape[2], image.shape[3]) : tensor([.. mask.Levels.Select(level => level / 255f)], 1, 1, mask.Size.Height, mask.Size.Width).round();
        var hidden = image * (1 - redrawn * (options?.ConditioningWeight ?? 1));
        var small = LatentFilter.Nearest.Resize(redrawn, cells.Height, cells.Width);
        var seen = model.EncodeScaled(hidden, tile);
        return cat([small.to(seen.device), seen], 1).MoveToOuterDisposeScope();
    }
}
