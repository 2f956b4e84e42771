using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using Levain.Diffusion;

namespace Levain.Generation;

/// <summary>A request as the text that the webui and many programs write into pictures and read back.</summary>
/// <remarks>AUTOMATIC1111's webui, <c>processing.create_infotext</c>.</remarks>
public static class Infotext
{
    private static readonly JsonSerializerOptions Quoting = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Prompt, negative prompt, and one line of settings.</summary>
    /// <param name="modelName">The base's name; null leaves it out.</param>
    /// <param name="hashes">Hashes of what the prompt names: <c>Lora hashes</c>, <c>TI hashes</c>.</param>
    public static string Of(GenerationRequest request, string? modelName = null, params IEnumerable<(string Key, string Value)> hashes)
    {
        var negative = request.NegativePrompt.Length > 0 ? $"\nNegative prompt: {request.NegativePrompt}" : "";
        var fields = Fields(request, modelName, hashes).Where(field => field.Value is not null).Select(field => $"{field.Key}: {Quote(field.Value!)}");
        return $"{request.Prompt}{negative}\n{string.Join(", ", fields)}".Trim();
    }

    /// <summary>A value that holds a comma, a colon or a line break, in JSON's quotes; any other as it is.</summary>
    public static string Quote(string value) =>
        value.AsSpan().IndexOfAny(",:\n") < 0 ? value : JsonSerializer.Serialize(value, Quoting);

    private static IEnumerable<(string Key, string? Value)> Fields(GenerationRequest request, string? modelName, IEnumerable<(string Key, string Value)> hashes)
    {
        var choice = SamplerChoice.Parse(request.Sampler);
        var schedule = choice.Schedule ?? request.ScheduleOptions.Schedule ?? choice.Sampler.Schedule;
        yield return ("Steps", Number(request.Steps));
        yield return ("Sampler", choice.Sampler.Name);
        yield return ("Schedule type", choice.Schedule is null && (schedule is null || schedule == SigmaSchedules.Uniform) ? "Automatic" : schedule!.Name);
        yield return ("CFG scale", Number(request.CfgScale));
        yield return ("Seed", Number(request.Seed));
        yield return ("Size", request.Size.ToString());
        yield return ("Model", modelName);
        yield return ("Clip skip", request.ClipSkip > 1 ? Number(request.ClipSkip) : null);
        yield return ("RNG", request.Noise == NoiseKind.Cpu ? "CPU" : "NV");
        foreach (var (key, value) in hashes) yield return (key, value);
        yield return ("Eta", request.SamplerOptions.Eta is { } eta ? Number(eta) : null);
        yield return ("Emphasis", Weighted(request) ? request.Emphasis switch { Emphasis.NoNorm => "No norm", Emphasis.Original => null, var other => other.ToString() } : null);
        yield return ("Networks", request.Networks.Count == 0 ? null : string.Join(", ", request.Networks.Select(Describe)));
        yield return ("Version", $"levain {typeof(Infotext).Assembly.GetName().Version!.ToString(3)}");
    }

    private static bool Weighted(GenerationRequest request) => (request.Prompt + request.NegativePrompt).AsSpan().IndexOfAny("([") >= 0;

    private static string Describe(NetworkUse use) => use.Strength.TextEncoder == use.Strength.UNet
        ? $"{Path.GetFileNameWithoutExtension(use.Path)} {Number(use.Strength.UNet)}"
        : $"{Path.GetFileNameWithoutExtension(use.Path)} {Number(use.Strength.TextEncoder)}/{Number(use.Strength.UNet)}";

    private static string Number(double value) => value.ToString("R", CultureInfo.InvariantCulture);
}
