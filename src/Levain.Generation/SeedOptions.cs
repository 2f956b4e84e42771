using Levain.Core;
using Levain.Diffusion;

namespace Levain.Generation;

/// <summary>What a picture's noise is made of beside its seed.</summary>
public sealed record SeedOptions
{
    /// <summary>A little of another seed's noise; null for none.</summary>
    public VariationSeed? Variation { get; init; }

    /// <summary>Size in px at which the seed's noise is drawn, to be placed in the middle of the picture's: nearly the same picture at another size. Null for the picture's own.</summary>
    public PixelSize? ResizeFrom { get; init; }

    /// <summary>Added to the seed for every noise but the first (the webui's ENSD); 31337 for pictures of NovelAI. Default 0.</summary>
    public long Delta { get; init; }

    private const int MostSide = 4096;

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    public void Check(Problems problems)
    {
        if (Variation is { } other)
        {
            problems.Require(other.Seed is >= 0 and <= uint.MaxValue, "variation_seed", $"is {other.Seed}.", "Use 0 to 4294967295.");
            problems.Require(other.Strength is >= 0 and <= 1, "variation_strength", $"is {other.Strength}.", "Use 0 to 1; 0.1 is a small variation.");
        }
        if (ResizeFrom is { } size) problems.Require(size.Width is >= LatentSize.CellPixels and <= MostSide && size.Height is >= LatentSize.CellPixels and <= MostSide, "seed_resize", $"is {size}.", "Use the size of the picture whose composition is wanted.");
    }

    /// <summary>The same for one picture's noise.</summary>
    internal SeedNoiseOptions ForNoise() => new()
    {
        Variation = Variation,
        ResizeFrom = ResizeFrom is { } size ? (size.ToLatent().Height, size.ToLatent().Width) : null,
        Delta = Delta,
    };
}
