using Levain.Core;
using Levain.Diffusion;

namespace Levain.Generation;

/// <summary>A second pass at a larger size: the picture is enlarged and drawn on (the webui's hires fix).</summary>
public sealed record HiresOptions
{
    private const double MostScale = 8;
    private const int MostSide = 32768;         // 8 times the largest first pass

    /// <summary>Enlargement, 1 to 8; not used where <see cref="Size"/> is given. Default 2.</summary>
    public double Scale { get; init; } = 2;

    /// <summary>Size in px; a side of 0 follows the other. With both sides the picture is cut to their shape. Null: by <see cref="Scale"/>.</summary>
    public PixelSize? Size { get; init; }

    /// <summary>Name of an upscaler, see <see cref="Upscalers"/>, or the path of an ESRGAN-family file. Default "Latent".</summary>
    public string Upscaler { get; init; } = Upscalers.Latent.Name;

    /// <summary>Steps, all of which are made; 0 for those of the first pass.</summary>
    public int Steps { get; init; }

    /// <summary>How much may change, 0 to 1. Default 0.7; latent upscalers need 0.5 or more.</summary>
    public double Denoise { get; init; } = 0.7;

    /// <summary>Sampler, with its schedule or without; null for the first pass's.</summary>
    public string? Sampler { get; init; }

    /// <summary>Another checkpoint that draws it: a file or a diffusers folder; null for the first pass's.</summary>
    public string? Checkpoint { get; init; }

    /// <summary>CFG scale; null for the first pass's.</summary>
    public double? CfgScale { get; init; }

    /// <summary>Prompt; empty for the first pass's.</summary>
    public string Prompt { get; init; } = "";

    /// <summary>Negative prompt; empty for the first pass's.</summary>
    public string NegativePrompt { get; init; } = "";

    /// <summary>The size the second pass is drawn at, sides rounded down to multiples of 8 px, and the size the first pass's picture is brought to before it is cut to that.</summary>
    internal (PixelSize Drawn, PixelSize Enlarged) SizesFor(PixelSize first)
    {
        if (Size is not { } wanted)
        {
            var scaled = Cells(new((int)(first.Width * Scale), (int)(first.Height * Scale)));
            return (scaled, scaled);
        }
        if (wanted.Height == 0) wanted = wanted with { Height = Side(wanted.Width, first.Height, first.Width) };
        else if (wanted.Width == 0) wanted = wanted with { Width = Side(wanted.Height, first.Width, first.Height) };
        else
        {
            var enlarged = (double)first.Width / first.Height < (double)wanted.Width / wanted.Height
                ? new PixelSize(wanted.Width, Side(wanted.Width, first.Height, first.Width))
                : new(Side(wanted.Height, first.Width, first.Height), wanted.Height);
            return (Cells(wanted), Cells(enlarged));
        }
        return (Cells(wanted), Cells(wanted));

        static PixelSize Cells(PixelSize size) => size.ToLatent().ToPixels();

        static int Side(long other, long of, long by) => (int)Math.Min(other * of / Math.Max(by, 1), MostSide);
    }

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    internal void Check(Problems problems)
    {
        problems.Require(Size is not null || Scale is >= 1 and <= MostScale, "hires_scale", $"is {Scale}.", $"Use 1 to {MostScale}; 2 is usual.");
        problems.Require(Denoise is >= 0 and <= 1, "hires_denoise", $"is {Denoise}.", "Use 0 to 1; 0.7 for latent upscalers, 0.3 to 0.5 for the others.");
        problems.Require(Steps >= 0, "hires_steps", $"is {Steps}.", "Use 0 for the steps of the first pass, or a number of steps.");
        problems.Require(Size is not { Width: 0, Height: 0 }, "hires_size", "is 0x0.", "Give at least one side in px.");
        problems.Require(Size is not { } wanted || (wanted.Width is >= 0 and <= MostSide && wanted.Height is >= 0 and <= MostSide), "hires_size", $"is {Size}.", $"Use sides up to {MostSide} px; 0 follows the other.");
        problems.Require(Checkpoint is null || Path.Exists(Checkpoint), "hires_checkpoint", $"is {Checkpoint}, which is not there.", "Check the path.");
        if (Upscalers.Find(Upscaler) is null)
            problems.Require(File.Exists(Upscaler), "hires_upscaler", $"is '{Upscaler}', which is no upscaler known here and no file.", Nearest.Advice(Upscaler, [.. Upscalers.All.Select(known => known.Name)]));
        if (Sampler is not null) SamplerChoice.Check(Sampler, "hires_sampler", problems);
    }
}
