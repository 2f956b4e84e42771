using Levain.Core;
using Levain.Diffusion;
using Levain.Networks;

namespace Levain.Generation;

/// <summary>Which edges of a picture join when it is laid side by side.</summary>
[Flags]
public enum Joined
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>Left and right.</summary>
    Width = 1,

    /// <summary>Upper and lower.</summary>
    Height = 2,

    /// <summary>All: the webui's tiling.</summary>
    Both = Width | Height,
}

/// <summary>One picture to be drawn, complete: the same request gives the same picture. Commands, previews and programs all use it.</summary>
public sealed record GenerationRequest
{
    private const int LeastSide = 64, MostSide = 4096, MostSteps = 1000;

    /// <summary>What to draw, in the webui's prompt language.</summary>
    public string Prompt { get; init; } = "";

    /// <summary>What to keep away from.</summary>
    public string NegativePrompt { get; init; } = "";

    /// <summary>Styles that are joined to both prompts, by name, one after another; see <see cref="PromptStyles"/>.</summary>
    public IReadOnlyList<string> Styles { get; init; } = [];

    /// <summary>Seed of the noise, 0 to 4294967295.</summary>
    public long Seed { get; init; }

    /// <summary>Where the noise of a seed comes from. Default: libtorch's CPU generator.</summary>
    public NoiseKind Noise { get; init; }

    /// <summary>Steps of the sampler, 1 to 1000. Default 20.</summary>
    public int Steps { get; init; } = 20;

    /// <summary>Name of the sampler, with its schedule or without: <c>Euler a</c>, <c>DPM++ 2M Karras</c>, <c>dpmpp_2m_karras</c>.</summary>
    public string Sampler { get; init; } = "DPM++ 2M";

    /// <summary>Walks from noise as a preview of kohya's trainers does, by this sampler instead of <see cref="Sampler"/>; null: not.</summary>
    public KohyaSampler? Kohya { get; init; }

    /// <summary>How strongly the prompt is followed; 1 is not at all beyond the model's own guess. Default 7.</summary>
    public double CfgScale { get; init; } = 7;

    /// <summary>Size in px, both sides multiples of 8. Default 512×512.</summary>
    public PixelSize Size { get; init; } = new(512, 512);

    /// <summary>Which block of the text encoder is used, from the last: 1, or 2 for many anime models.</summary>
    public int ClipSkip { get; init; } = 1;

    /// <summary>What becomes of weights in the prompt.</summary>
    public Emphasis Emphasis { get; init; } = Emphasis.Original;

    /// <summary>Networks that act on this picture, in this order.</summary>
    public IReadOnlyList<NetworkUse> Networks { get; init; } = [];

    /// <summary>Block weights by name that go before those of files; null for none.</summary>
    public BlockPresets? BlockPresets { get; init; }

    /// <summary>What the sampler is told beside its levels.</summary>
    public SamplerOptions SamplerOptions { get; init; } = new();

    /// <summary>How levels are chosen; its schedule yields to one that <see cref="Sampler"/> names.</summary>
    public ScheduleOptions ScheduleOptions { get; init; } = new();

    /// <summary>How the prompt guides the picture beside <see cref="CfgScale"/>.</summary>
    public GuidanceOptions Guidance { get; init; } = new();

    /// <summary>Another seed mixed in, noise drawn at another size, the seed delta of later noise.</summary>
    public SeedOptions SeedOptions { get; init; } = new();

    /// <summary>A picture that drawing begins with, and the part of it that is drawn anew; null to draw from noise.</summary>
    public Img2ImgOptions? Img2Img { get; init; }

    /// <summary>A second pass at a larger size; null for none.</summary>
    public HiresOptions? Hires { get; init; }

    /// <summary>Another checkpoint that finishes the picture; null for none.</summary>
    public RefinerOptions? Refiner { get; init; }

    /// <summary>Which edges join, so that the picture can be laid side by side without a seam; both sides are best multiples of 64 px then. Default none.</summary>
    public Joined Joined { get; init; }

    /// <summary>Reads <c>[from:to:when]</c> as webui versions before 1.6 did: below 1 a share, and the first pass's steps in both passes.</summary>
    public bool OldTimelines { get; init; }

    /// <summary>How many pictures are drawn.</summary>
    public BatchOptions Batch { get; init; } = new();

    /// <summary>Side in px of the tiles in which pictures are encoded and decoded, to the same numbers with less memory; 0 takes them whole. Default 0.</summary>
    public int TileSize { get; init; }

    /// <summary>The request of one picture of the batches alone, counted from 0: the same picture, drawn by itself.</summary>
    public GenerationRequest PictureAt(int index) => SeedOptions.Variation is { Strength: > 0 } other
        ? this with { Batch = new(), SeedOptions = SeedOptions with { Variation = other with { Seed = other.Seed + index } } }
        : this with { Batch = new(), Seed = Seed + index };

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    public void Check(Problems problems)
    {
        problems.Require(Seed is >= 0 and <= uint.MaxValue, "seed", $"is {Seed}.", "Use 0 to 4294967295.");
        problems.Require(Steps is >= 1 and <= MostSteps, "steps", $"is {Steps}.", $"Use 1 to {MostSteps}; 20 is usual.");
        problems.Require(double.IsFinite(CfgScale), "cfg", $"is {CfgScale}.", "Use 1 to 30; 7 is usual.");
        problems.Require(ClipSkip >= 1, "clip_skip", $"is {ClipSkip}.", "Use 1, or 2 for many anime models.");
        problems.Require(Size.Width is >= LeastSide and <= MostSide && Size.Height is >= LeastSide and <= MostSide, "size", $"is {Size}.", $"Use {LeastSide} to {MostSide} px a side.");
        problems.Require(Size.ToLatent().ToPixels() == Size, "size", $"is {Size}, and sides are multiples of {LatentSize.CellPixels} px.", $"Use {Size.ToLatent().ToPixels()}.");
        Guidance.Check(problems);
        SamplerOptions.Check(problems);
        ScheduleOptions.Check(problems);
        SeedOptions.Check(problems);
        Img2Img?.Check(problems);
        Hires?.Check(problems);
        Refiner?.Check(problems);
        Batch.Check(problems);
        problems.Require(TileSize == 0 || TileSize >= LeastSide, "vae_tile", $"is {TileSize}.", $"Use {LeastSide} px or more, 512 for instance; 0 takes pictures whole.");
        problems.Require(Hires is null || Img2Img is null, "hires", "is given beside a picture to begin with.", "Draw at the larger size instead: the second pass belongs to pictures drawn from noise.");
        SamplerChoice.Check(Sampler, "sampler", problems);
        foreach (var network in Networks)
        {
            problems.Require(File.Exists(network.Path), network.Path, "is not there.", "Check the path.");
            problems.Require(double.IsFinite(network.Strength.TextEncoder) && double.IsFinite(network.Strength.UNet), network.Path, "has a strength that is no finite number.", "Use 1 as trained, 0.5 for half of it.");
        }
    }
}
