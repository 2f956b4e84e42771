using System.CommandLine;
using System.Globalization;
using Levain.Core;
using Levain.Data;
using Levain.Diffusion;
using Levain.Generation;

namespace Levain.Cli;

/// <summary>The words of commands that draw: pictures to begin with, masks, a second pass, batches, seeds and guidance.</summary>
internal sealed class PictureOptions
{
    private static readonly HiresOptions UsualHires = new();

    private readonly Option<string?> init = new("--init") { Description = "A picture to begin with (img2img).", HelpName = "FILE" };
    private readonly Option<double?> denoise = new("--denoise") { Description = "How much of it may change, 0 to 1. Default 0.75." };
    private readonly Option<ResizeMode> resize = new("--resize") { Description = "How it is brought to --size.", DefaultValueFactory = _ => ResizeMode.JustResize };
    private readonly Option<bool> exactSteps = new("--exact-steps") { Description = "Makes all --steps, instead of the share of them that --denoise names." };
    private readonly Option<double?> extraNoise = new("--extra-noise") { Description = "Noise added beyond what the sampler expects: more detail." };
    private readonly Option<bool> keepColours = new("--keep-colours") { Description = "Gives the result the colours of --init; its brightness stays." };
    private readonly Option<string?> mask = new("--mask") { Description = "What of --init is drawn anew: white, or what is not transparent.", HelpName = "FILE" };
    private readonly Option<double> maskBlur = new("--mask-blur") { Description = "Blur of the mask in px.", DefaultValueFactory = _ => 4 };
    private readonly Option<MaskedContent> maskContent = new("--mask-content") { Description = "What the masked part begins with.", DefaultValueFactory = _ => MaskedContent.Original };
    private readonly Option<bool> onlyMasked = new("--only-masked") { Description = "Draws the surroundings of the mask alone, at the whole size, and puts the result back." };
    private readonly Option<int> maskPadding = new("--mask-padding") { Description = "Margin of those surroundings in px.", DefaultValueFactory = _ => 32 };
    private readonly Option<bool> maskInvert = new("--mask-invert") { Description = "Draws anew what is black." };
    private readonly Option<double?> hires = new("--hires") { Description = "A second pass at so many times the size.", HelpName = "SCALE" };
    private readonly Option<string?> hiresSize = new("--hires-size") { Description = "A second pass at this size; a side of 0 follows the other.", HelpName = "WxH" };
    private readonly Option<string> upscaler = new("--hires-upscaler")
    {
        Description = $"How the picture is enlarged before it: {string.Join(", ", Upscalers.All.Select(known => known.Name))}, or an ESRGAN file.",
        DefaultValueFactory = _ => UsualHires.Upscaler,
        HelpName = "NAME",
    };
    private readonly Option<int> hiresSteps = new("--hires-steps") { Description = "Its steps; 0 for --steps.", DefaultValueFactory = _ => UsualHires.Steps };
    private readonly Option<double> hiresDenoise = new("--hires-denoise") { Description = "How much it may change.", DefaultValueFactory = _ => UsualHires.Denoise };
    private readonly Option<string?> hiresSampler = new("--hires-sampler") { Description = "Its sampler.", HelpName = "NAME" };
    private readonly Option<string?> hiresCheckpoint = new("--hires-checkpoint") { Description = "Another base that draws it.", HelpName = "FILE" };
    private readonly Option<string?> refiner = new("--refiner") { Description = "Another base that finishes pictures.", HelpName = "FILE" };
    private readonly Option<double?> refinerSwitch = new("--refiner-switch") { Description = "The share of timesteps after which it takes over, 0 to 1. Default 0.8.", HelpName = "SHARE" };
    private readonly Option<int?> batch = new("--batch") { Description = "Pictures from one prompt, each with the next seed." };
    private readonly Option<int?> atOnce = new("--batch-size") { Description = "Pictures drawn at once." };
    private readonly Option<int?> tile = new("--vae-tile") { Description = "Encodes and decodes pictures in tiles of so many px: the same picture with less memory, in twice the time.", HelpName = "PX" };
    private readonly Option<Joined?> tiling = new("--tiling") { Description = "Joins these edges, so that pictures lie side by side without a seam." };
    private readonly Option<string?> variation = new("--variation") { Description = "Another seed mixed in, and its share.", HelpName = "SEED:SHARE" };
    private readonly Option<string?> seedResize = new("--seed-resize") { Description = "The size whose noise is used, for nearly the same picture at another size.", HelpName = "WxH" };
    private readonly Option<long?> delta = new("--ensd") { Description = "Added to the seed for every noise but the first." };
    private readonly Option<double?> eta = new("--eta") { Description = "Share of fresh noise of ancestral samplers (usually 1) and of DDIM (usually 0)." };
    private readonly Option<double?> rescale = new("--cfg-rescale") { Description = "Takes back this share of the contrast that guidance adds, 0 to 1." };
    private readonly Option<double?> ngms = new("--ngms") { Description = "Leaves the negative prompt out at every second call below this noise level: faster." };

    /// <summary>Adds them to a command.</summary>
    public Command AddTo(Command command)
    {
        foreach (var option in (Option[])[init, denoise, resize, exactSteps, extraNoise, keepColours, mask, maskBlur, maskContent, onlyMasked, maskPadding, maskInvert, hires, hiresSize, upscaler, hiresSteps, hiresDenoise, hiresSampler, hiresCheckpoint, refiner, refinerSwitch, batch, atOnce, tile, tiling, variation, seedResize, delta, eta, rescale, ngms])
            command.Options.Add(option);
        return command;
    }

    /// <summary>Whether a second pass is asked for.</summary>
    public bool AsksSecondPass(ParseResult given) => given.GetValue(hires) is not null || given.GetValue(hiresSize) is not null;

    /// <summary>A request with what was given.</summary>
    /// <param name="told">The picture whose text <paramref name="request"/> comes from, with what it says of one it began with; null for none.</param>
    public GenerationRequest Apply(ParseResult given, GenerationRequest request, Problems problems, ToldPicture? told = null)
    {
        Idle(given, request, problems, told?.Read.Img2Img);
        return request with
        {
            Img2Img = Img2Img(given, problems, told) ?? request.Img2Img,
            Hires = Hires(given, request, problems),
            Refiner = Refiner(given, request, problems, told),
            Batch = new() { Count = given.GetValue(batch) ?? 1, Size = given.GetValue(atOnce) ?? 1 },
            TileSize = given.GetValue(tile) ?? request.TileSize,
            Joined = given.GetValue(tiling) ?? request.Joined,
            SeedOptions = request.SeedOptions with
            {
                Variation = Variation(given.GetValue(variation), problems) ?? request.SeedOptions.Variation,
                ResizeFrom = Size(given.GetValue(seedResize), "--seed-resize", problems) ?? request.SeedOptions.ResizeFrom,
                Delta = given.GetValue(delta) ?? request.SeedOptions.Delta,
            },
            SamplerOptions = request.SamplerOptions with { Eta = given.GetValue(eta) ?? request.SamplerOptions.Eta },
            Guidance = request.Guidance with
            {
                Rescale = given.GetValue(rescale) ?? request.Guidance.Rescale,
                NegativeMinSigma = given.GetValue(ngms) ?? request.Guidance.NegativeMinSigma,
            },
        };
    }

    /// <summary>A size as <c>512x768</c>; null where none is given.</summary>
    public static PixelSize? Size(string? text, string name, Problems problems)
    {
        if (text is null) return null;
        var sides = text.ToLowerInvariant().Split('x');
        if (sides.Length == 2 && int.TryParse(sides[0], CultureInfo.InvariantCulture, out var width) && int.TryParse(sides[1], CultureInfo.InvariantCulture, out var height)) return new(width, height);
        problems.Add(name, $"is {text}.", "Write width and height: 512x768.");
        return null;
    }

    /// <summary>Tells of options that would do nothing.</summary>
    private void Idle(ParseResult given, GenerationRequest request, Problems problems, ToldImg2Img? told)
    {
        const string NoInit = "is given without --init.", NoMask = "is given without --mask.", NoPass = "is given without --hires.", Begin = "Name the picture to begin with: --init FILE.";
        var begins = given.GetValue(init) is not null || told is not null;
        Need(begins, NoInit, "Name the picture that the mask belongs to.", mask);
        Need(begins, NoInit, "Name the picture whose colours are kept.", keepColours);
        Need(begins, NoInit, "Name a picture to begin with; a second pass has --hires-denoise.", denoise);
        Need(begins, NoInit, Begin, resize, exactSteps, extraNoise);
        var masks = given.GetValue(mask) is not null || told?.Inpaint is not null;
        Need(masks, NoMask, "Name the mask: --mask FILE.", maskBlur, maskContent, onlyMasked, maskPadding, maskInvert);
        Need(!masks || given.Written(onlyMasked, told?.Inpaint?.OnlyMasked), "is given without --only-masked.", "Add it: the margin is that of the part drawn alone.", maskPadding);
        Need(AsksSecondPass(given) || request.Hires is not null, NoPass, "Say how much larger the second pass is: --hires 2.", upscaler, hiresSteps, hiresDenoise, hiresSampler, hiresCheckpoint);
        Need(given.GetValue(hiresSize) is null, "is given beside --hires-size, which says it too.", "Use one of both.", hires);

        void Need(bool there, string what, string fix, params IEnumerable<Option> options)
        {
            foreach (var option in options) problems.Require(there || !given.IsWritten(option), option.Name, what, fix);
        }
    }

    private Img2ImgOptions? Img2Img(ParseResult given, Problems problems, ToldPicture? source)
    {
        var told = source?.Read.Img2Img;
        var path = given.GetValue(init) ?? told?.FindBeside(source!.Path);
        problems.Require(path is not null || told is null, "--init", $"is not given, and {source?.Path} was drawn from a picture that it does not hold.",
            $"Name that picture: --init FILE{(told?.InitHash is { } hash ? $" (the webui keeps it as {hash}.png)" : "")}.");
        problems.Require(given.GetValue(mask) is not null || told?.Inpaint is null, "--mask", $"is not given, and {source?.Path} was drawn with a mask that it does not hold.", "Name that mask: --mask FILE.");
        if (path is null || Read(path, "--init", Picture.Open, problems) is not { } picture) return null;
        if (told?.InitHash is { } known && known != ToldImg2Img.HashOf(picture)) source!.Note($"{path} is not the picture that {source.Path} was drawn from, or its colours were changed.");
        var hidden = given.GetValue(mask) is { } maskPath ? Read(maskPath, "--mask", GrayMask.Open, problems) : null;
        return new Img2ImgOptions(picture)
        {
            Denoise = given.GetValue(denoise) ?? told?.Denoise ?? new Img2ImgOptions(picture).Denoise,
            Resize = given.GetValue(resize),
            ExactSteps = given.GetValue(exactSteps),
            NoiseMultiplier = told?.NoiseMultiplier ?? 1,
            ExtraNoise = given.GetValue(extraNoise) ?? told?.ExtraNoise ?? 0,
            KeepsColours = given.GetValue(keepColours),
            Inpaint = hidden is null ? null : new InpaintOptions(hidden)
            {
                Blur = given.Written(maskBlur, told?.Inpaint?.Blur),
                Content = given.Written(maskContent, told?.Inpaint?.Content),
                OnlyMasked = given.Written(onlyMasked, told?.Inpaint?.OnlyMasked),
                Padding = given.Written(maskPadding, told?.Inpaint?.Padding),
                Invert = given.Written(maskInvert, told?.Inpaint?.Invert),
                ConditioningWeight = told?.Inpaint?.ConditioningWeight ?? 1,
            },
        };
    }

    // A second pass that a picture tells of keeps what is not written anew.
    private HiresOptions? Hires(ParseResult given, GenerationRequest request, Problems problems)
    {
        if (!AsksSecondPass(given) && request.Hires is null) return null;
        var start = request.Hires ?? UsualHires;
        return start with
        {
            Scale = given.GetValue(hires) ?? start.Scale,
            Size = Size(given.GetValue(hiresSize), "--hires-size", problems) ?? (given.GetValue(hires) is null ? start.Size : null),
            Upscaler = given.Written(upscaler, start.Upscaler),
            Steps = given.Written(hiresSteps, start.Steps),
            Denoise = given.Written(hiresDenoise, start.Denoise),
            Sampler = given.GetValue(hiresSampler) ?? start.Sampler,
            Checkpoint = given.GetValue(hiresCheckpoint) ?? start.Checkpoint,
        };
    }

    private RefinerOptions? Refiner(ParseResult given, GenerationRequest request, Problems problems, ToldPicture? source)
    {
        const string RefinerField = "Refiner";
        Ask(refiner, RefinerField);
        if (request.Hires is not null) Ask(hiresCheckpoint, "Hires checkpoint");
        var path = given.GetValue(refiner);
        problems.Require(path is not null || given.GetValue(refinerSwitch) is null || source?.Read.Fields.ContainsKey(RefinerField) is true, "--refiner-switch", "is given without --refiner.", "Name the base that finishes pictures.");
        return path is null ? null : new(path) { SwitchAt = given.GetValue(refinerSwitch) ?? source?.Read.Number("Refiner switch at") ?? new RefinerOptions(path).SwitchAt };

        void Ask(Option<string?> option, string field) => problems.Require(given.GetValue(option) is not null || source?.Read.Fields.ContainsKey(field) is not true, option.Name,
            $"is not given, and {source?.Path} was drawn with '{source?.Read.Fields.GetValueOrDefault(field)}' too.", $"Name that file: {option.Name} FILE.");
    }

    private static VariationSeed? Variation(string? text, Problems problems)
    {
        if (text is null) return null;
        if (text.Split(':') is [var seed, var share] && long.TryParse(seed, CultureInfo.InvariantCulture, out var number) && double.TryParse(share, CultureInfo.InvariantCulture, out var strength)) return new(number, strength);
        problems.Add("--variation", $"is {text}.", "Write a seed and its share: 7:0.1.");
        return null;
    }

    private static T? Read<T>(string path, string name, Func<string, T> open, Problems problems) where T : class
    {
        if (!File.Exists(path))
        {
            problems.Add(name, $"names {path}, which is no file.", "Check the path.");
            return null;
        }
        try
        {
            return open(path);
        }
        catch (ImageException damaged)
        {
            problems.Add(name, $"{path} {damaged.Message}", "");
        }
        catch (Exception refused) when (refused is IOException or UnauthorizedAccessException)
        {
            problems.Add(name, $"{path} cannot be read: {refused.Message}", "Check the path and its permissions.");
        }
        return null;
    }
}
