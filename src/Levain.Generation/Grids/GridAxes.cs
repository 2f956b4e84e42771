using Levain.Core;
using Levain.Diffusion;

namespace Levain.Generation;

/// <summary>Everything that can change from picture to picture of a grid.</summary>
/// <remarks>AUTOMATIC1111's webui, <c>scripts/xyz_grid.py</c>, as far as this program has what they change.</remarks>
[Catalog]
public static partial class GridAxes
{
    /// <summary>All axes, by name of their property.</summary>
    public static partial IReadOnlyList<GridAxis> All { get; }

    /// <summary>Changes nothing.</summary>
    public static GridAxis Nothing { get; } = new("Nothing", AxisKind.Text, "Changes nothing", (cell, _, _) => cell) { Legend = _ => "" };

    /// <summary>Seed.</summary>
    public static GridAxis Seed { get; } = Whole("Seed", "Seed of the noise", (request, value) => request with { Seed = value });

    /// <summary>Another seed, mixed in.</summary>
    public static GridAxis VariationSeed { get; } = Whole("Var. seed", "Another seed whose noise is mixed in", (request, value) => request with
    { SeedOptions = request.SeedOptions with { Variation = (request.SeedOptions.Variation ?? new(0, 0)) with { Seed = value } } });

    /// <summary>Share of that seed.</summary>
    public static GridAxis VariationStrength { get; } = Number("Var. strength", "How much of it is mixed in, 0 to 1", (request, value) => request with
    { SeedOptions = request.SeedOptions with { Variation = (request.SeedOptions.Variation ?? new(0, 0)) with { Strength = value } } });

    /// <summary>How much of a first picture, or of the first pass, may change.</summary>
    public static GridAxis Denoising { get; } = Number("Denoising", "How much of the picture begun with, or of the first pass, may change, 0 to 1", (request, value) =>
        request.Img2Img is { } img2img ? request with { Img2Img = img2img with { Denoise = value } } : SecondPass("Denoising", request, hires => hires with { Denoise = value }));

    /// <summary>Factor of the noise on a first picture.</summary>
    public static GridAxis InitialNoise { get; } = Number("Initial noise multiplier", "Factor of the noise on the picture begun with", (request, value) => FirstPicture("Initial noise multiplier", request, img2img => img2img with { NoiseMultiplier = value }));

    /// <summary>Noise beyond what the sampler expects.</summary>
    public static GridAxis ExtraNoise { get; } = Number("Extra noise", "Noise on the picture begun with beyond what the sampler expects", (request, value) => FirstPicture("Extra noise", request, img2img => img2img with { ExtraNoise = value }));

    /// <summary>How strongly an inpainting checkpoint sees the mask.</summary>
    public static GridAxis MaskWeight { get; } = Number("Cond. Image Mask Weight", "How strongly an inpainting checkpoint sees the mask, 0 to 1", (request, value) => FirstPicture("Cond. Image Mask Weight", request,
        img2img => img2img.Inpaint is { } inpaint ? img2img with { Inpaint = inpaint with { ConditioningWeight = value } } : throw Refuse("Cond. Image Mask Weight", AxisValues.Show(value), "Give a mask.")));

    /// <summary>Steps of the second pass.</summary>
    public static GridAxis HiresSteps { get; } = Whole("Hires steps", "Steps of the second pass; 0 for those of the first", (request, value) => SecondPass("Hires steps", request, hires => hires with { Steps = (int)Math.Clamp(value, int.MinValue, int.MaxValue) }));

    /// <summary>Sampler of the second pass.</summary>
    public static GridAxis HiresSampler { get; } = Text("Hires sampler", "Sampler of the second pass", (request, value) => SecondPass("Hires sampler", request, hires => hires with { Sampler = value == "Use same sampler" ? null : value }));

    /// <summary>How the picture is enlarged before the second pass.</summary>
    public static GridAxis HiresUpscaler { get; } = Text("Hires upscaler", "How the picture is enlarged before the second pass: a name, or an ESRGAN file", (request, value) => SecondPass("Hires upscaler", request, hires => hires with { Upscaler = value }));

    /// <summary>Level below which the negative prompt is left out.</summary>
    public static GridAxis NegativeMinSigma { get; } = Number("Negative Guidance minimum sigma", "Level below which the negative prompt is left out", (request, value) => request with
    { Guidance = request.Guidance with { NegativeMinSigma = value } });

    /// <summary>Steps.</summary>
    public static GridAxis Steps { get; } = Whole("Steps", "Steps of the sampler", (request, value) => request with { Steps = (int)Math.Clamp(value, int.MinValue, int.MaxValue) });

    /// <summary>Guidance.</summary>
    public static GridAxis CfgScale { get; } = Number("CFG Scale", "How strongly the prompt is followed", (request, value) => request with { CfgScale = value });

    /// <summary>Block of the text encoder.</summary>
    public static GridAxis ClipSkip { get; } = Whole("Clip skip", "Block of the text encoder, from the last", (request, value) => request with { ClipSkip = (int)Math.Clamp(value, int.MinValue, int.MaxValue) });

    /// <summary>Sampler.</summary>
    public static GridAxis Sampler { get; } = Text("Sampler", "Sampler, with its schedule or without", (request, value) => request with { Sampler = value }) with { Legend = AxisValues.Show };

    /// <summary>Schedule.</summary>
    public static GridAxis ScheduleType { get; } = Schedule("Schedule type", AxisKind.Text, "How levels are chosen", (options, value) => options with { Schedule = ScheduleNamed((string)value) });

    /// <summary>Quietest level.</summary>
    public static GridAxis ScheduleMinSigma { get; } = Schedule("Schedule min sigma", AxisKind.Number, "Quietest level; 0 for the model's", (options, value) => options with { SigmaMin = NotZero(value) });

    /// <summary>Loudest level.</summary>
    public static GridAxis ScheduleMaxSigma { get; } = Schedule("Schedule max sigma", AxisKind.Number, "Loudest level; 0 for the model's", (options, value) => options with { SigmaMax = NotZero(value) });

    /// <summary>Bend of the schedule.</summary>
    public static GridAxis ScheduleRho { get; } = Schedule("Schedule rho", AxisKind.Number, "Bend of the schedule; 0 for its own", (options, value) => options with { Rho = NotZero(value) });

    /// <summary>α of the Beta schedule.</summary>
    public static GridAxis BetaAlpha { get; } = Schedule("Beta schedule alpha", AxisKind.Number, "α of the Beta schedule", (options, value) => options with { BetaA = (double)value });

    /// <summary>β of the Beta schedule.</summary>
    public static GridAxis BetaBeta { get; } = Schedule("Beta schedule beta", AxisKind.Number, "β of the Beta schedule", (options, value) => options with { BetaB = (double)value });

    /// <summary>Whether the last but one level is left out.</summary>
    public static GridAxis Discard { get; } = Schedule("Always discard next-to-last sigma", AxisKind.Text, "True or False", (options, value) => options with { DiscardPenultimate = Flag((string)value) });

    /// <summary>Whether the start is scaled as Stability's code does.</summary>
    public static GridAxis SgmNoise { get; } = Schedule("SGM noise multiplier", AxisKind.Text, "True or False", (options, value) => options with { SgmNoise = Flag((string)value) });

    /// <summary>Share of fresh noise.</summary>
    public static GridAxis Eta { get; } = Option("Eta", "Share of fresh noise", (options, value) => options with { Eta = value });

    /// <summary>Noise added and removed again.</summary>
    public static GridAxis SigmaChurn { get; } = Option("Sigma Churn", "Noise added and removed again", (options, value) => options with { Churn = value });

    /// <summary>Quietest level at which noise is churned.</summary>
    public static GridAxis SigmaMin { get; } = Option("Sigma min", "Quietest level at which noise is churned", (options, value) => options with { ChurnMin = value });

    /// <summary>Loudest level at which noise is churned.</summary>
    public static GridAxis SigmaMax { get; } = Option("Sigma max", "Loudest level at which noise is churned; 0 for no limit", (options, value) => options with { ChurnMax = value == 0 ? double.PositiveInfinity : value });

    /// <summary>Factor of fresh noise.</summary>
    public static GridAxis SigmaNoise { get; } = Option("Sigma noise", "Factor of all noise added on the way", (options, value) => options with { NoiseScale = value });

    /// <summary>UniPC's order.</summary>
    public static GridAxis UniPcOrder { get; } = Whole("UniPC Order", "Guesses that UniPC uses at most", (request, value) => request with { SamplerOptions = request.SamplerOptions with { UniPc = request.SamplerOptions.UniPc with { Order = (int)Math.Clamp(value, 1, int.MaxValue) } } }) with { Cost = 0.5 };

    /// <summary>Where noise comes from.</summary>
    public static GridAxis RngSource { get; } = Text("RNG source", "Where a seed's noise comes from: CPU, or GPU or NV for the webui's default", (request, value) => request with
    {
        Noise = value.ToUpperInvariant() switch { "CPU" => NoiseKind.Cpu, "GPU" or "NV" => NoiseKind.Gpu, _ => throw Refuse("RNG source", value, "Use CPU, GPU or NV.") },
    });

    /// <summary>Styles.</summary>
    public static GridAxis Styles { get; } = Text("Styles", "Styles joined to the prompt, beside its own; several with commas between them, in quotes",
        (request, value) => request with { Styles = [.. request.Styles, .. value.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)] });

    /// <summary>Size.</summary>
    public static GridAxis Size { get; } = Text("Size", "Width and height in px: 512x768", (request, value) => request with { Size = SizeOf(value) });

    /// <summary>Checkpoint.</summary>
    public static GridAxis Checkpoint { get; } = new("Checkpoint name", AxisKind.Text, "The base: a file or a diffusers folder", (cell, value, _) => cell with { Checkpoint = (string)value })
    { Cost = 1, Legend = value => Path.GetFileName((string)value) };

    /// <summary>Checkpoint that finishes pictures.</summary>
    public static GridAxis RefinerCheckpoint { get; } = Text("Refiner checkpoint", "Another base that finishes pictures: a file or a diffusers folder, or None", (request, value) => request with
    { Refiner = value == "None" ? null : (request.Refiner ?? new(value)) with { Checkpoint = value } }) with
    { Cost = 1, Legend = value => Path.GetFileName((string)value) };

    /// <summary>When it takes over.</summary>
    public static GridAxis RefinerSwitch { get; } = Number("Refiner switch at", "The share of timesteps after which it takes over, 0 to 1", (request, value) => request with
    { Refiner = (request.Refiner ?? throw Refuse("Refiner switch at", AxisValues.Show(value), "Name the refiner: --refiner FILE, or an axis 'Refiner checkpoint' before this one.")) with { SwitchAt = value } });

    /// <summary>VAE.</summary>
    public static GridAxis Vae { get; } = new("VAE", AxisKind.Text, "The VAE: a file, or None for the checkpoint's own", (cell, value, _) => cell with { Vae = value is "None" or "Automatic" ? null : (string)value }) { Cost = 0.7 };

    /// <summary>Text replaced in both prompts.</summary>
    public static GridAxis PromptSearchReplace { get; } = new("Prompt S/R", AxisKind.Text, "Replaces the first value by each: LORA,<lora:x-000001:1>,<lora:x:1>",
        (cell, value, values) => cell with { Request = Replaced(cell.Request, (string)values[0], (string)value) })
    { Legend = AxisValues.Show };

    /// <summary>Order of words in the prompt.</summary>
    public static GridAxis PromptOrder { get; } = new("Prompt order", AxisKind.Order, "Puts parts of the prompt in every order",
        (cell, value, _) => cell with { Request = cell.Request with { Prompt = Reordered(cell.Request.Prompt, (IReadOnlyList<string>)value) } })
    { Legend = AxisValues.Show };

    /// <summary>Blocks whose weight is changed.</summary>
    public static GridAxis BlockId { get; } = new("Block ID", AxisKind.Text, "Blocks that get the block value in the preset XYZ: IN05-OUT05, BASE M00, NOT BASE", (cell, value, _) => cell with { BlockIds = (string)value });

    /// <summary>Weight of these blocks.</summary>
    public static GridAxis BlockValues { get; } = new("Block values", AxisKind.Text, "The weight of the blocks in the preset XYZ: 0,0.25,0.5,0.75,1", (cell, value, _) => cell with { BlockValue = (string)value });

    /// <summary>Weights that the preset XYZ begins with.</summary>
    public static GridAxis OriginalWeights { get; } = new("Original Weights", AxisKind.Text, "The weights that the preset XYZ begins with: names of presets", (cell, value, _) => cell with { BlockBase = cell.BlockBase is { } other ? $"{other}\n{value}" : (string)value });

    /// <summary>Rules for layers.</summary>
    public static GridAxis Elements { get; } = new("Elements", AxisKind.Text, "Rules for layers of the preset XYZ: names of presets, or \"IN05-OUT05:attn:0.5\"", (cell, value, _) => cell with { LayerRules = (string)value });

    /// <summary>Replaces a text in both prompts.</summary>
    /// <exception cref="SettingsException">It is in neither.</exception>
    public static GenerationRequest Replaced(GenerationRequest request, string search, string replacement)
    {
        if (search.Length == 0 || (!request.Prompt.Contains(search, StringComparison.Ordinal) && !request.NegativePrompt.Contains(search, StringComparison.Ordinal)))
            throw Refuse("Prompt S/R", search, "The first value is the text that is replaced: it must stand in the prompt or the negative prompt.");
        return request with { Prompt = request.Prompt.Replace(search, replacement), NegativePrompt = request.NegativePrompt.Replace(search, replacement) };
    }

    /// <summary>Puts parts of a prompt in another order, in the places where they stand. Parts that are not in it change it at odd places, as in the webui.</summary>
    public static string Reordered(string prompt, IReadOnlyList<string> order)
    {
        var (left, made) = (prompt, "");
        foreach (var (token, i) in order.OrderBy(token => prompt.IndexOf(token, StringComparison.Ordinal)).Select((token, i) => (token, i)).ToList())
        {
            var place = left.IndexOf(token, StringComparison.Ordinal);
            // Python's slices: −1 counts from the end
            made += (place < 0 ? left[..Math.Max(left.Length - 1, 0)] : left[..place]) + order[i];
            var rest = place + token.Length;
            left = rest < 0 ? left[Math.Max(left.Length + rest, 0)..] : left[Math.Min(rest, left.Length)..];
        }
        return made + left;
    }

    private static GridAxis Whole(string name, string summary, Func<GenerationRequest, long, GenerationRequest> change) =>
        new(name, AxisKind.Whole, summary, (cell, value, _) => cell with { Request = change(cell.Request, (long)value) });

    private static GridAxis Number(string name, string summary, Func<GenerationRequest, double, GenerationRequest> change) =>
        new(name, AxisKind.Number, summary, (cell, value, _) => cell with { Request = change(cell.Request, (double)value) });

    private static GridAxis Text(string name, string summary, Func<GenerationRequest, string, GenerationRequest> change) =>
        new(name, AxisKind.Text, summary, (cell, value, _) => cell with { Request = change(cell.Request, (string)value) });

    private static GridAxis Option(string name, string summary, Func<SamplerOptions, double, SamplerOptions> change) =>
        Number(name, summary, (request, value) => request with { SamplerOptions = change(request.SamplerOptions, value) });

    private static GridAxis Schedule(string name, AxisKind kind, string summary, Func<ScheduleOptions, object, ScheduleOptions> change) =>
        new(name, kind, summary, (cell, value, _) => cell with { Request = cell.Request with { ScheduleOptions = change(cell.Request.ScheduleOptions, value) } });

    private static GenerationRequest FirstPicture(string axis, GenerationRequest request, Func<Img2ImgOptions, Img2ImgOptions> change) =>
        request.Img2Img is { } img2img ? request with { Img2Img = change(img2img) } : throw new SettingsException([new(axis, "changes nothing without a picture to begin with.", "Name one.")]);

    private static GenerationRequest SecondPass(string axis, GenerationRequest request, Func<HiresOptions, HiresOptions> change) =>
        request.Hires is { } hires ? request with { Hires = change(hires) } : throw new SettingsException([new(axis, "changes nothing without a second pass.", "Ask for one: --hires 2.")]);

    private static double? NotZero(object value) => (double)value == 0 ? null : (double)value;

    private static bool Flag(string value) => bool.TryParse(value, out var flag) ? flag : throw Refuse("axis", value, "Use True or False.");

    private static SigmaSchedule? ScheduleNamed(string name) => name.Equals("Automatic", StringComparison.OrdinalIgnoreCase) ? null
        : SigmaSchedules.All.FirstOrDefault(schedule => Plain(schedule.Name) == Plain(name)) ?? throw Refuse("Schedule type", name, Nearest.Advice(name, ["Automatic", .. SigmaSchedules.All.Select(schedule => schedule.Name)]));

    private static string Plain(string name) => name.ToLowerInvariant().Replace(" ", "").Replace("_", "");

    private static PixelSize SizeOf(string text) =>
        text.Split('x', 'X') is [var width, var height] && PythonNumber.Int(width) is > 0 and <= int.MaxValue and var w && PythonNumber.Int(height) is > 0 and <= int.MaxValue and var h
            ? new((int)w, (int)h) : throw Refuse("Size", text, "Write width and height: 512x768.");

    private static SettingsException Refuse(string name, string value, string fix) => new([new(name, $"is '{value}'.", fix)]);
}
