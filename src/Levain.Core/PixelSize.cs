namespace Levain.Core;

/// <summary>Width and height of a picture in px.</summary>
public readonly record struct PixelSize(int Width, int Height)
{
    /// <summary>Number of pixels.</summary>
    public long Area => (long)Width * Height;

    /// <summary>Latent cells of 8 px, rounded down.</summary>
    public LatentSize ToLatent() => new(Width / LatentSize.CellPixels, Height / LatentSize.CellPixels);

    /// <inheritdoc/>
    public override string ToString() => $"{Width}x{Height}";
}

/// <summary>Width and height in latent cells of 8 px.</summary>
public readonly record struct LatentSize(int Width, int Height)
{
    /// <summary>Pixels along the side of one latent cell.</summary>
    public const int CellPixels = 8;

    /// <summary>Size in px.</summary>
    public PixelSize ToPixels() => new(Width * CellPixels, Height * CellPixels);

    /// <inheritdoc/>
    public override string ToString() => $"{Width}x{Height} cells";
}
