using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Levain.Core;
using Levain.Diffusion;

namespace Levain.Generation;

/// <summary>A text read back.</summary>
/// <param name="Request">The request as far as the text names it; what a picture cannot tell (other pictures, network files) is missing.</param>
/// <param name="Fields">Every setting of the text, by its name there.</param>
/// <param name="Notes">Settings that were not understood.</param>
public sealed record ReadInfotext(GenerationRequest Request, IReadOnlyDictionary<string, string> Fields, IReadOnlyList<string> Notes)
{
    /// <summary>What it says of a picture that drawing began with; null where it began with noise.</summary>
    public ToldImg2Img? Img2Img { get; init; }

    /// <summary>A setting as a number; null where it is none.</summary>
    public double? Number(string field) => InfotextReader.Number(Fields.GetValueOrDefault(field));

    /// <summary>Sentences on the files that another picture was drawn with in place of this one's, told by their hashes.</summary>
    /// <param name="other">The other picture's text.</param>
    public IEnumerable<string> OtherFiles(ReadInfotext other)
    {
        foreach (var (kind, hash) in new[] { ("Model", "Model hash"), ("VAE", "VAE hash") })
        {
            if (Fields.GetValueOrDefault(hash) is { } own && own != other.Fields.GetValueOrDefault(hash))
                yield return $"It was drawn with the {(kind == "VAE" ? kind : "base")} {Fields.GetValueOrDefault(kind, "of another name")} ({own}), and now {(other.Fields.TryGetValue(hash, out var now) ? $"{other.Fields.GetValueOrDefault(kind)} ({now})" : "another")} is used.";
        }
        foreach (var field in new[] { "Lora hashes", "TI hashes" })
        {
            var found = Pairs(other, field);
            foreach (var (name, hash) in Pairs(this, field))
                if (found.TryGetValue(name, out var now) && now != hash) yield return $"It was drawn with another file of the name {name} ({hash}, now {now}).";
        }

        static Dictionary<string, string> Pairs(ReadInfotext text, string field) => text.Fields.GetValueOrDefault(field, "").Split(", ", StringSplitOptions.RemoveEmptyEntries)
            .Select(pair => pair.Split(": ")).Where(pair => pair.Length == 2).DistinctBy(pair => pair[0]).ToDictionary(pair => pair[0], pair => pair[1]);
    }
}

/// <summary>Reads what <see cref="Infotext"/> and the webui write into pictures.</summary>
/// <remarks>AUTOMATIC1111's webui, <c>infotext_utils.parse_generation_parameters</c>. Without <c>RNG</c> the noise is a graphics card's, the webui's default.</remarks>
public static partial class InfotextReader
{
    private const int LeastFields = 3;
    private const string Negative = "Negative prompt:";

    // Written by the webui or by us and of no consequence for what is drawn here.
    private static readonly HashSet<string> Passed =
        ["Model", "Model hash", "VAE", "VAE hash", "Version", "User", "Lora hashes", "TI hashes", "First pass size", "Init image hash", "Networks", "Mask mode", "Mask blur", "Masked content", "Inpaint area", "Masked area padding", "Noise multiplier", "Extra noise", "Conditional mask weight", "Hires checkpoint", "Refiner", "Refiner switch at"];

    /// <summary>Reads a text; whatever is in it, it never fails.</summary>
    public static ReadInfotext Read(string text)
    {
        var lines = text.Trim().Split('\n');
        var last = lines[^1];
        var hasFields = Field().Count(last) >= LeastFields;
        var (prompt, negative, inNegative) = (new List<string>(), new List<string>(), false);
        foreach (var line in hasFields ? lines[..^1] : lines)
        {
            var trimmed = line.Trim();
            if (trimmed.StartsWith(Negative, StringComparison.Ordinal)) (inNegative, trimmed) = (true, trimmed[Negative.Length..].Trim());
            var said = inNegative ? negative : prompt;
            if (said.Count > 0 || trimmed.Length > 0) said.Add(trimmed);          // empty lines count once something was said
        }
        var fields = new Dictionary<string, string>(StringComparer.Ordinal);
        if (hasFields)
            foreach (Match match in Field().Matches(last)) fields[match.Groups["key"].Value] = Unquoted(match.Groups["value"].Value);

        // Before hires resize had a field of its own, the size was the second pass's.
        if (fields.TryGetValue("First pass size", out var first) && fields.TryGetValue("Size", out var second) && Size(first) is { Width: > 0, Height: > 0 })
        {
            (fields["Size"], fields["Hires resize"]) = (first, second);
        }
        var notes = new List<string>();
        var request = Apply(new() { Prompt = string.Join('\n', prompt), NegativePrompt = string.Join('\n', negative), Noise = NoiseKind.Gpu }, fields, notes);
        return new(request, fields, notes) { Img2Img = ToldImg2Img.Of(fields) };
    }

    private static GenerationRequest Apply(GenerationRequest request, Dictionary<string, string> fields, List<string> notes)
    {
        var sampler = fields.GetValueOrDefault("Sampler");
        if (sampler is not null)
        {
            var schedule = fields.GetValueOrDefault("Schedule type") is { } type and not WebuiNames.Automatic ? $" {type}" : "";
            if ((Known(sampler + schedule) ?? Known(sampler)) is { } name) request = request with { Sampler = name };
            else notes.Add($"The sampler '{sampler}' is not known here; {request.Sampler} is used.");
        }
        else request = WithSchedule(request, fields.GetValueOrDefault("Schedule type"), notes);
        var hires = AsksSecondPass(fields) ? request.Hires ?? new() : request.Hires;
        foreach (var (key, value) in fields)
        {
            if (hires is null && IsOfSecondPass(key))
            {
                notes.Add($"'{key}: {value}' is of a second pass, which is not asked for, and was left out.");
                continue;
            }
            switch (key)
            {
                case "Sampler" or "Schedule type" or "Hires schedule type":
                    break;
                case "Steps" when Whole(value) is { } steps:
                    request = request with { Steps = (int)steps };
                    break;
                case "CFG scale" when Number(value) is { } cfg:
                    request = request with { CfgScale = cfg };
                    break;
                case "Seed" when Whole(value) is { } seed:
                    request = request with { Seed = seed };
                    break;
                case "Size" when Size(value) is { } size:
                    request = request with { Size = size };
                    break;
                case "Clip skip" when Whole(value) is { } skip:
                    request = request with { ClipSkip = (int)skip };
                    break;
                case "RNG":
                    request = request with { Noise = value == "CPU" ? NoiseKind.Cpu : NoiseKind.Gpu };
                    break;
                case "Tiling":
                    request = request with { Joined = value switch { "True" => Joined.Both, nameof(Joined.Width) => Joined.Width, nameof(Joined.Height) => Joined.Height, _ => Joined.None } };
                    break;
                case "Old prompt editing timelines":
                    request = request with { OldTimelines = value == "True" };
                    break;
                case "Variation seed" when Whole(value) is { } other:
                    request = request with { SeedOptions = request.SeedOptions with { Variation = new(other, Number(fields.GetValueOrDefault("Variation seed strength", "0")) ?? 0) } };
                    break;
                case "Variation seed strength":
                    break;
                case "Seed resize from" when Size(value) is { } from:
                    request = request with { SeedOptions = request.SeedOptions with { ResizeFrom = from } };
                    break;
                case "ENSD" when Whole(value) is { } delta:
                    request = request with { SeedOptions = request.SeedOptions with { Delta = delta } };
                    break;
                case "Emphasis" when value is "No norm" or "None" or "Ignore" or "Original":
                    request = request with { Emphasis = value switch { "No norm" => Emphasis.NoNorm, "None" => Emphasis.None, "Ignore" => Emphasis.Ignore, _ => Emphasis.Original } };
                    break;
                case "Eta" or "Eta DDIM" when Number(value) is { } eta:
                    request = request with { SamplerOptions = request.SamplerOptions with { Eta = eta } };
                    break;
                case "Sigma churn" when Number(value) is { } churn:
                    request = request with { SamplerOptions = request.SamplerOptions with { Churn = churn } };
                    break;
                case "Sigma tmin" when Number(value) is { } least:
                    request = request with { SamplerOptions = request.SamplerOptions with { ChurnMin = least } };
                    break;
                case "Sigma tmax" when Number(value) is { } most:
                    request = request with { SamplerOptions = request.SamplerOptions with { ChurnMax = most } };
                    break;
                case "Sigma noise" when Number(value) is { } scale:
                    request = request with { SamplerOptions = request.SamplerOptions with { NoiseScale = scale } };
                    break;
                case "Schedule min sigma" when Number(value) is { } min:
                    request = request with { ScheduleOptions = request.ScheduleOptions with { SigmaMin = min } };
                    break;
                case "Schedule max sigma" when Number(value) is { } max:
                    request = request with { ScheduleOptions = request.ScheduleOptions with { SigmaMax = max } };
                    break;
                case "Schedule rho" when Number(value) is { } rho:
                    request = request with { ScheduleOptions = request.ScheduleOptions with { Rho = rho } };
                    break;
                case "Beta schedule alpha" when Number(value) is { } alpha:
                    request = request with { ScheduleOptions = request.ScheduleOptions with { BetaA = alpha } };
                    break;
                case "Beta schedule beta" when Number(value) is { } beta:
                    request = request with { ScheduleOptions = request.ScheduleOptions with { BetaB = beta } };
                    break;
                case "SGM noise multiplier":
                    request = request with { ScheduleOptions = request.ScheduleOptions with { SgmNoise = value == "True" } };
                    break;
                case "Discard penultimate sigma":
                    request = request with { ScheduleOptions = request.ScheduleOptions with { DiscardPenultimate = value == "True" } };
                    break;
                case "NGMS" when Number(value) is { } ngms:
                    request = request with { Guidance = request.Guidance with { NegativeMinSigma = ngms } };
                    break;
                case "NGMS all steps":
                    request = request with { Guidance = request.Guidance with { NegativeMinSigmaAlways = value == "True" } };
                    break;
                case "Skip Early CFG" when Number(value) is { } early:
                    request = request with { Guidance = request.Guidance with { SkipEarly = early } };
                    break;
                case "Pad conds" or "Pad conds v0" when value == "True":
                    request = request with { Guidance = request.Guidance with { Padding = key == "Pad conds" ? ConditioningPadding.Empty : ConditioningPadding.RepeatLast } };
                    break;
                case "CFG Rescale phi" when Number(value) is { } phi:
                    request = request with { Guidance = request.Guidance with { Rescale = phi } };
                    break;
                case "Denoising strength" when Number(value) is { } denoise:
                    hires = hires is null ? null : hires with { Denoise = denoise };
                    break;
                case "Hires upscale" when Number(value) is { } upscale:
                    hires = hires! with { Scale = upscale };
                    break;
                case "Hires resize" when Size(value) is { } resize:
                    hires = hires! with { Size = resize };
                    break;
                case "Hires steps" when Whole(value) is { } second:
                    hires = hires! with { Steps = (int)second };
                    break;
                case "Hires upscaler":
                    hires = hires! with { Upscaler = value };
                    break;
                case "Hires sampler":
                    hires = hires! with { Sampler = fields.GetValueOrDefault("Hires schedule type") is { } type ? $"{value} {type}" : value };
                    break;
                case "Hires CFG Scale" when Number(value) is { } cfg:
                    hires = hires! with { CfgScale = cfg };
                    break;
                case "Hires prompt":
                    hires = hires! with { Prompt = value };
                    break;
                case "Hires negative prompt":
                    hires = hires! with { NegativePrompt = value };
                    break;
                default:
                    if (!Passed.Contains(key)) notes.Add($"'{key}: {value}' is not understood and was left out.");
                    break;
            }
        }
        return Aged(request with { Hires = hires }, fields, notes);
    }

    /// <summary>Whether a text was written of a picture with a second pass.</summary>
    /// <remarks>AUTOMATIC1111's webui, <c>enable_hr</c> among the fields that ui.py pastes: other fields change a second pass and do not ask for one.</remarks>
    internal static bool AsksSecondPass(IReadOnlyDictionary<string, string> fields) => fields.ContainsKey("Denoising strength") && (fields.ContainsKey("Hires upscale") || fields.ContainsKey("Hires upscaler") || fields.ContainsKey("Hires resize"));

    private static bool IsOfSecondPass(string key) => key.StartsWith("Hires ", StringComparison.Ordinal);

    /// <summary>What versions of the webui did differently, by infotext_versions.py.</summary>
    private static GenerationRequest Aged(GenerationRequest request, Dictionary<string, string> fields, List<string> notes)
    {
        if (Release().Match(fields.GetValueOrDefault("Version", "")) is not { Success: true } told || !System.Version.TryParse(told.Groups[1].Value, out var version)) return request;
        if (version < new Version(1, 6, 0) && request.Prompt.Contains('[')) request = request with { OldTimelines = true };
        if (version < new Version(1, 6, 0) && fields.GetValueOrDefault("Sampler") is "DDIM" or "PLMS") request = request with { Guidance = request.Guidance with { Padding = ConditioningPadding.RepeatLast } };
        if (version < new Version(1, 7, 0)) notes.Add($"The webui {told.Groups[1].Value} rounded the noise schedule to 16 bits on most cards, and it is not rounded here: the picture may differ in details.");
        return request;
    }

    private static string? Known(string name)
    {
        var problems = new Problems();
        SamplerChoice.Check(name, "Sampler", problems);
        return problems.Any ? null : name;
    }

    /// <summary>A number as infotexts write it; null where it is none.</summary>
    internal static double? Number(string? text) => double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? number : null;

    private static long? Whole(string text) => long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) ? number : null;

    private static PixelSize? Size(string text) =>
        text.Split('x') is [var width, var height] && Whole(width) is >= 0 and <= int.MaxValue and var w && Whole(height) is >= 0 and <= int.MaxValue and var h ? new((int)w, (int)h) : null;

    /// <summary>A value without the quotes that <see cref="Infotext.Quote"/> gave it.</summary>
    internal static string Unquoted(string value)
    {
        if (value is not ['"', .., '"']) return value;
        try
        {
            return JsonSerializer.Deserialize<string>(value) ?? value;
        }
        catch (JsonException)
        {
            return value;
        }
    }

    [GeneratedRegex(@"^v(\d+\.\d+\.\d+)")]
    private static partial Regex Release();

    [GeneratedRegex("""\s*(?<key>\w[\w \-/]+):\s*(?<value>"(?:\\.|[^\\"])+"|[^,]*)(?:,|$)""")]
    private static partial Regex Field();
}
