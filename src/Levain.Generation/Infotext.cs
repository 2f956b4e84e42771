using System.Globalization;
using System.Text;
using Levain.Diffusion;

namespace Levain.Generation;

/// <summary>A request as the text that the webui and many programs write into pictures and read back; see <see cref="InfotextReader"/>.</summary>
/// <remarks>AUTOMATIC1111's webui, <c>processing.create_infotext</c>.</remarks>
public static class Infotext
{
    /// <summary>Prompt, negative prompt, and one line of settings.</summary>
    /// <param name="names">The base and its VAE; null names none.</param>
    /// <param name="further">Further fields, as hashes of what the prompt names: <c>Lora hashes</c>, <c>TI hashes</c>.</param>
    public static string Of(GenerationRequest request, BaseNames? names = null, params IEnumerable<(string Key, string Value)> further)
    {
        var negative = request.NegativePrompt.Length > 0 ? $"\nNegative prompt: {request.NegativePrompt}" : "";
        IEnumerable<(string Key, string? Value)> fields =
        [
            .. Drawing(request), ("Model hash", names?.ModelHash), ("Model", names?.Model), ("VAE hash", names?.VaeHash), ("VAE", names?.Vae), .. Seeding(request), .. Changing(request),
            ("Clip skip", request.ClipSkip > 1 ? Number(request.ClipSkip) : null), ("ENSD", SeedDelta(request)),
            ("Init image hash", request.Img2Img is { } begun ? ToldImg2Img.HashOf(begun.Init) : null), ("RNG", request.Noise == NoiseKind.Cpu ? "CPU" : "NV"),
            ("Tiling", request.Joined switch { Joined.None => null, Joined.Both => "True", var one => one.ToString() }),
            .. Masking(request), .. SecondPass(request), .. further.Select(field => (field.Key, (string?)field.Value)), .. Sampling(request), .. Guiding(request),
            ("Emphasis", Weighted(request) ? request.Emphasis switch { Emphasis.NoNorm => "No norm", Emphasis.Original => null, var other => other.ToString() } : null),
            ("Refiner", request.Refiner?.Name), ("Refiner switch at", request.Refiner is { } refiner ? Number(refiner.SwitchAt) : null),
            ("Old prompt editing timelines", request.OldTimelines ? "True" : null),
            ("Version", $"levain {typeof(Infotext).Assembly.GetName().Version!.ToString(3)}"),
        ];
        return $"{request.Prompt}{negative}\n{string.Join(", ", fields.Where(field => field.Value is not null).Select(field => $"{field.Key}: {Quote(field.Value!)}"))}".Trim();
    }

    /// <summary>A value that holds a comma, a colon or a line break, in JSON's quotes; any other as it is.</summary>
    public static string Quote(string value)
    {
        if (value.AsSpan().IndexOfAny(",:\n") < 0) return value;
        var text = new StringBuilder("\"");
        foreach (var letter in value)
        {
            text.Append(letter switch
            {
                '"' => "\\\"",
                '\\' => @"\\",
                '\n' => @"\n",
                '\r' => @"\r",
                '\t' => @"\t",
                '\b' => @"\b",
                '\f' => @"\f",
                < ' ' => string.Create(CultureInfo.InvariantCulture, $@"\u{(int)letter:x4}"),
                _ => letter.ToString(),
            });
        }
        return text.Append('"').ToString();
    }

    private static IEnumerable<(string, string?)> Drawing(GenerationRequest request)
    {
        var choice = SamplerChoice.Parse(request.Sampler);
        yield return ("Steps", Number(request.Steps));
        yield return ("Sampler", choice.Sampler.Name);
        yield return ("Schedule type", ScheduleOf(choice, request));
        yield return ("CFG scale", Number(request.CfgScale));
        yield return ("Seed", Number(request.Seed));
        yield return ("Size", request.Size.ToString());
    }

    /// <summary>The schedule that is walked; "Automatic" where none is chosen and the sampler has none but the model's even steps.</summary>
    private static string ScheduleOf(SamplerChoice choice, GenerationRequest request)
    {
        var chosen = choice.Schedule ?? request.ScheduleOptions.Schedule;
        var schedule = chosen ?? choice.Sampler.Schedule;
        return choice.Sampler.WalksTimesteps || chosen is null && (schedule is null || schedule == SigmaSchedules.Uniform) ? WebuiNames.Automatic : schedule!.Name;
    }

    private static IEnumerable<(string, string?)> Seeding(GenerationRequest request)
    {
        if (request.SeedOptions.Variation is { Strength: > 0 } other)
        {
            yield return ("Variation seed", Number(other.Seed));
            yield return ("Variation seed strength", Number(other.Strength));
        }
        yield return ("Seed resize from", request.SeedOptions.ResizeFrom?.ToString());
    }

    private static IEnumerable<(string, string?)> Changing(GenerationRequest request)
    {
        yield return ("Denoising strength", request.Img2Img is { } img2img ? Number(img2img.Denoise) : request.Hires is { } hires ? Number(hires.Denoise) : null);
        yield return ("Conditional mask weight", request.Img2Img?.Inpaint is { ConditioningWeight: not 1 } inpaint ? Number(inpaint.ConditioningWeight) : null);
    }

    private static IEnumerable<(string, string?)> Masking(GenerationRequest request)
    {
        if (request.Img2Img is not { } img2img) yield break;
        if (img2img.Inpaint is { } inpaint)
        {
            yield return ("Mask mode", inpaint.Invert ? "Inpaint not masked" : null);
            yield return ("Mask blur", inpaint.Blur > 0 ? Number(inpaint.Blur) : null);
            yield return ("Inpaint area", inpaint.OnlyMasked ? "Only masked" : null);
            yield return ("Masked area padding", inpaint.OnlyMasked ? Number(inpaint.Padding) : null);
            yield return ("Masked content", inpaint.Content switch { MaskedContent.Fill => "fill", MaskedContent.LatentNoise => "latent noise", MaskedContent.LatentNothing => "latent nothing", _ => null });
        }
        yield return ("Noise multiplier", img2img.NoiseMultiplier != 1 ? Number(img2img.NoiseMultiplier) : null);
        yield return ("Extra noise", img2img.ExtraNoise > 0 ? Number(img2img.ExtraNoise) : null);
    }

    private static IEnumerable<(string, string?)> SecondPass(GenerationRequest request)
    {
        if (request.Hires is not { } hires) yield break;
        var sampler = hires.Sampler is null ? null : SamplerChoice.Parse(hires.Sampler);
        yield return ("Hires checkpoint", hires.Checkpoint is { } other ? Path.GetFileNameWithoutExtension(other) : null);
        yield return ("Hires sampler", sampler?.Sampler.Name);
        yield return ("Hires schedule type", sampler?.Schedule?.Name);
        yield return ("Hires CFG Scale", hires.CfgScale is { } cfg ? Number(cfg) : null);
        yield return ("Hires prompt", hires.Prompt.Length > 0 ? hires.Prompt : null);
        yield return ("Hires negative prompt", hires.NegativePrompt.Length > 0 ? hires.NegativePrompt : null);
        yield return hires.Size is { } size ? ("Hires resize", size.ToString()) : ("Hires upscale", Number(hires.Scale));
        yield return ("Hires steps", hires.Steps > 0 ? Number(hires.Steps) : null);
        yield return ("Hires upscaler", Upscalers.Find(hires.Upscaler)?.Name ?? Path.GetFileNameWithoutExtension(hires.Upscaler));
    }

    private static IEnumerable<(string, string?)> Sampling(GenerationRequest request)
    {
        var (sampler, options, levels) = (SamplerChoice.Parse(request.Sampler).Sampler, request.SamplerOptions, request.ScheduleOptions);
        yield return (sampler.WalksTimesteps ? "Eta DDIM" : "Eta", sampler.Eta is { } own && options.Eta is { } eta && eta != own ? Number(eta) : null);
        yield return ("Sigma churn", sampler.Churns && options.Churn != 0 ? Number(options.Churn) : null);
        yield return ("Sigma tmin", sampler.Churns && options.ChurnMin != 0 ? Number(options.ChurnMin) : null);
        yield return ("Sigma tmax", sampler.Churns && double.IsFinite(options.ChurnMax) ? Number(options.ChurnMax) : null);
        yield return ("Sigma noise", (sampler.Churns || sampler.ScalesNoise) && options.NoiseScale != 1 ? Number(options.NoiseScale) : null);
        yield return ("Discard penultimate sigma", levels.DiscardPenultimate ? "True" : null);
        if (sampler.WalksTimesteps) yield break;

        var schedule = SamplerChoice.Parse(request.Sampler).Schedule ?? levels.Schedule ?? sampler.Schedule!;
        yield return ("Schedule min sigma", levels.SigmaMin is { } min ? Number(min) : null);
        yield return ("Schedule max sigma", levels.SigmaMax is { } max ? Number(max) : null);
        yield return ("Schedule rho", schedule.DefaultRho != 0 && levels.Rho is { } rho && rho != schedule.DefaultRho ? Number(rho) : null);
        yield return ("Beta schedule alpha", schedule == SigmaSchedules.Beta ? Number(levels.BetaA) : null);
        yield return ("Beta schedule beta", schedule == SigmaSchedules.Beta ? Number(levels.BetaB) : null);
        yield return ("SGM noise multiplier", levels.SgmNoise ? "True" : null);
    }

    private static IEnumerable<(string, string?)> Guiding(GenerationRequest request)
    {
        var guidance = request.Guidance;
        yield return ("Skip Early CFG", guidance.SkipEarly > 0 ? Number(guidance.SkipEarly) : null);
        yield return ("NGMS", guidance.NegativeMinSigma > 0 ? Number(guidance.NegativeMinSigma) : null);
        yield return ("NGMS all steps", guidance is { NegativeMinSigma: > 0, NegativeMinSigmaAlways: true } ? "True" : null);
        yield return ("Pad conds", guidance.Padding == ConditioningPadding.Empty ? "True" : null);
        yield return ("Pad conds v0", guidance.Padding == ConditioningPadding.RepeatLast ? "True" : null);
        yield return ("CFG Rescale phi", guidance.Rescale > 0 ? Number(guidance.Rescale) : null);
    }

    private static string? SeedDelta(GenerationRequest request)
    {
        var sampler = SamplerChoice.Parse(request.Sampler).Sampler;
        return request.SeedOptions.Delta != 0 && sampler.UsesSeedDelta && request.SamplerOptions.Eta != 0 ? Number(request.SeedOptions.Delta) : null;
    }

    private static bool Weighted(GenerationRequest request) => (request.Prompt + request.NegativePrompt).AsSpan().IndexOfAny("([") >= 0;

    private static string Number(double value) => value.ToString("R", CultureInfo.InvariantCulture);
}
