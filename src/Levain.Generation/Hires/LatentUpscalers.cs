namespace Levain.Generation;

public static partial class Upscalers
{
    /// <summary>Bilinear, the webui's default.</summary>
    public static Upscaler Latent { get; } = OfLatents("Latent", "Latents, bilinear; needs a denoise of 0.5 or more", LatentFilter.Bilinear);

    /// <summary>Bilinear with a filter that widens where it shrinks.</summary>
    public static Upscaler LatentAntialiased { get; } = OfLatents("Latent (antialiased)", "Latents, bilinear and antialiased", LatentFilter.Bilinear with { Antialias = true });

    /// <summary>Bicubic.</summary>
    public static Upscaler LatentBicubic { get; } = OfLatents("Latent (bicubic)", "Latents, bicubic", LatentFilter.Bicubic);

    /// <summary>Bicubic, antialiased.</summary>
    public static Upscaler LatentBicubicAntialiased { get; } = OfLatents("Latent (bicubic antialiased)", "Latents, bicubic and antialiased", LatentFilter.BicubicAntialiased);

    /// <summary>The nearest cell, counted from corners.</summary>
    public static Upscaler LatentNearest { get; } = OfLatents("Latent (nearest)", "Latents, nearest cell", LatentFilter.Nearest);

    /// <summary>The nearest cell, counted from centres.</summary>
    public static Upscaler LatentNearestExact { get; } = OfLatents("Latent (nearest-exact)", "Latents, nearest cell by centres", LatentFilter.NearestExact);

    private static Upscaler OfLatents(string name, string summary, LatentFilter filter) => new(name, summary) { Latents = filter.Resize };
}
