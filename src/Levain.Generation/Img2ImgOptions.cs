using Levain.Core;

namespace Levain.Generation;

/// <summary>A picture that drawing begins with.</summary>
/// <param name="Init">The picture; see <see cref="Picture.Open"/>.</param>
public sealed record Img2ImgOptions(Picture Init)
{
    /// <summary>How much of it may change, 0 to 1. Default 0.75.</summary>
    public double Denoise { get; init; } = 0.75;

    /// <summary>How it is brought to the size drawn.</summary>
    public ResizeMode Resize { get; init; }

    /// <summary>Makes as many steps as are asked for, instead of the share of them that <see cref="Denoise"/> names.</summary>
    public bool ExactSteps { get; init; }

    /// <summary>Factor of the noise laid on the picture. Default 1.</summary>
    public double NoiseMultiplier { get; init; } = 1;

    /// <summary>Noise added beyond what the sampler expects: more detail. Default 0.</summary>
    public double ExtraNoise { get; init; }

    /// <summary>Gives the result the colours of the picture it began with (the webui's colour correction). Default false.</summary>
    public bool KeepsColours { get; init; }

    /// <summary>Which part is drawn anew; null for all of it.</summary>
    public InpaintOptions? Inpaint { get; init; }

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    public void Check(Problems problems)
    {
        problems.Require(Denoise is >= 0 and <= 1, "denoise", $"is {Denoise}.", "Use 0 (keep the picture) to 1 (draw it anew); 0.75 is usual.");
        problems.Require(NoiseMultiplier is >= 0 and <= 2, "noise_multiplier", $"is {NoiseMultiplier}.", "Use 0 to 2; 1 is usual.");
        problems.Require(ExtraNoise is >= 0 and <= 1, "extra_noise", $"is {ExtraNoise}.", "Use 0 to 1; 0 is usual.");
        Inpaint?.Check(problems);
    }
}

/// <summary>What a masked part begins with; the webui's "masked content".</summary>
public enum MaskedContent
{
    /// <summary>The colours around it.</summary>
    Fill,

    /// <summary>What is there.</summary>
    Original,

    /// <summary>Noise of the seed.</summary>
    LatentNoise,

    /// <summary>Nothing: a latent of zeros.</summary>
    LatentNothing,
}

/// <summary>A part of a picture that is drawn anew; defaults are the webui's.</summary>
/// <param name="Mask">White is drawn anew; see <see cref="GrayMask.Open"/>.</param>
public sealed record InpaintOptions(GrayMask Mask)
{
    private const int MostBlur = 64, MostPadding = 256;

    /// <summary>Blur of the mask, σ in px. Default 4.</summary>
    public double Blur { get; init; } = 4;

    /// <summary>What the part begins with.</summary>
    public MaskedContent Content { get; init; } = MaskedContent.Original;

    /// <summary>Draws the surroundings of the mask alone, at the whole size, and puts the result back.</summary>
    public bool OnlyMasked { get; init; }

    /// <summary>Margin of that area, px. Default 32.</summary>
    public int Padding { get; init; } = 32;

    /// <summary>Draws anew what is black.</summary>
    public bool Invert { get; init; }

    /// <summary>Splits the mask into black and white, before blur and in the latent. Default true.</summary>
    public bool Round { get; init; } = true;

    /// <summary>For inpainting models: how much of the original under the mask is hidden from the model, 0 to 1. Default 1.</summary>
    public double ConditioningWeight { get; init; } = 1;

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    public void Check(Problems problems)
    {
        problems.Require(Blur is >= 0 and <= MostBlur, "mask_blur", $"is {Blur}.", $"Use 0 to {MostBlur} px; 4 is usual.");
        problems.Require(Padding is >= 0 and <= MostPadding, "mask_padding", $"is {Padding}.", $"Use 0 to {MostPadding} px; 32 is usual.");
        problems.Require(ConditioningWeight is >= 0 and <= 1, "mask_weight", $"is {ConditioningWeight}.", "Use 0 to 1; 1 hides all of it.");
    }
}
