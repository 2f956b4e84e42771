using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Levain.Core;
using Levain.Training.Settings;

namespace Levain.Training.Kohya;

/// <summary>kohya's file of sample prompts: text lines with options behind <c>--</c>, a JSON list, or TOML with <c>[prompt]</c> and <c>[[prompt.subset]]</c>.</summary>
/// <remarks>An option counts only after <c>" --"</c>: kohya takes a prompt that begins like one, such as "n girl", for it (K-27).</remarks>
internal sealed partial class KohyaPrompts
{
    private const int Width = 512, Steps = 30;
    private const double Guidance = 7.5;

    private static readonly string[] Samplers =
        ["ddim", "ddpm", "pndm", "lms", "k_lms", "euler", "k_euler", "euler_a", "k_euler_a", "dpmsolver", "dpmsolver++", "dpmsingle", "heun", "dpm_2", "k_dpm_2", "dpm_2_a", "k_dpm_2_a"];

    private readonly ICollection<string>? notes;

    private KohyaPrompts(ICollection<string>? notes) => this.notes = notes;

    /// <summary>Reads a file's text.</summary>
    /// <param name="file">Its name, whose end tells the form.</param>
    /// <param name="problems">What cannot be read.</param>
    /// <param name="notes">What is passed over, a sentence each.</param>
    public static IReadOnlyList<SamplePrompt> Read(string text, string file, Problems problems, ICollection<string>? notes = null) => new KohyaPrompts(notes).Read(text, file, problems);

    private IReadOnlyList<SamplePrompt> Read(string text, string file, Problems problems)
    {
        if (file.EndsWith(".toml", StringComparison.OrdinalIgnoreCase))
        {
            var root = TomlDocument.Parse(text, Path.GetFileName(file), problems).Root;
            var outer = root["prompt"]?.Value as TomlTable;
            if (outer?["subset"]?.Value is not List<TomlEntry> subsets) return outer is null ? [] : [FromKeys(key => outer[key]?.Value)];
            return [.. subsets.Select(subset => FromKeys(key => (subset.Value as TomlTable)?[key]?.Value ?? outer[key]?.Value))];
        }
        if (file.EndsWith(".json", StringComparison.OrdinalIgnoreCase))
        {
            try
            {
                using var list = JsonDocument.Parse(text);
                return [.. list.RootElement.EnumerateArray().Select(item => item.ValueKind is JsonValueKind.String ? FromLine(item.GetString()!) : FromKeys(key => item.TryGetProperty(key, out var value) ? value.ValueKind is JsonValueKind.Number ? value.GetDouble() : value.ToString() : null))];
            }
            catch (Exception exception) when (exception is JsonException or InvalidOperationException)
            {
                problems.Add("--sample_prompts", $"is no JSON list: {exception.Message.TrimEnd('.')}.", "Give a list of prompts, or of objects with a prompt each.");
                return [];
            }
        }
        return [.. text.Split('\n').Where(line => line.Trim().Length > 0 && line[0] != '#').Select(line => FromLine(line.Trim()))];
    }

    private SamplePrompt FromLine(string line)
    {
        var parts = (" " + line).Split(" --");
        var sample = new SamplePrompt { Prompt = parts[0].Trim(), Width = Width, Height = Width, Seed = SamplePrompt.AnySeed, Steps = Steps, Guidance = Guidance };
        foreach (var part in parts[1..])
        {
            var option = Option().Match(part);
            var (name, value) = (option.Groups["name"].Value.ToLowerInvariant(), option.Groups["value"].Value.Trim());
            var number = double.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture, out var read) ? read : (double?)null;
            sample = (name, number) switch
            {
                ("n", _) => sample with { Negative = value },
                ("w", { } width) => sample with { Width = Side(width) },
                ("h", { } height) => sample with { Height = Side(height) },
                ("d", { } seed) => sample with { Seed = (long)seed },
                ("s", { } steps) => sample with { Steps = (int)Math.Clamp(steps, 1, 1000) },
                ("ss", _) => sample with { Sampler = Known(value) },
                ("l", { } guidance) => sample with { Guidance = guidance },
                _ => PassedOver(part),
            };
        }
        return sample;

        SamplePrompt PassedOver(string part)
        {
            notes?.Add($"A sample prompt says --{part.Trim()}, which is passed over as in kohya. Known: --n negative, --w width, --h height, --d seed, --s steps, --l guidance, --ss sampler.");
            return sample;
        }
    }

    private SamplePrompt FromKeys(Func<string, object?> value)
    {
        return new()
        {
            Prompt = value("prompt") as string ?? "",
            Negative = value("negative_prompt") as string ?? "",
            Width = Side(Number("width") ?? Width),
            Height = Side(Number("height") ?? Width),
            Seed = (long)(Number("seed") ?? SamplePrompt.AnySeed),
            Steps = (int)(Number("sample_steps") ?? Steps),
            Guidance = Number("scale") ?? Guidance,
            Sampler = value("sample_sampler") is string sampler ? Known(sampler) : null,
        };

        double? Number(string key) => value(key) switch { long whole => whole, double number => number, _ => null };
    }

    // kohya draws with DDIM where it does not know a name.
    private string Known(string sampler)
    {
        if (Samplers.Contains(sampler)) return Sampler(sampler);
        notes?.Add($"A sample prompt asks for the sampler \"{sampler}\", which kohya does not know: it draws with ddim.");
        return "ddim";
    }

    /// <summary>A sampler by kohya's name, <c>k_euler_a</c>.</summary>
    public static string Sampler(string name) => name.StartsWith("k_", StringComparison.Ordinal) ? name[2..] : name;

    // What is behind a number counts for nothing: "w 512px" is 512.
    [GeneratedRegex(@"^((?<name>[whds]) (?<value>\d+)|(?<name>l) (?<value>[\d.]+)|(?<name>n|ss) (?<value>.+))", RegexOptions.IgnoreCase | RegexOptions.ExplicitCapture)]
    private static partial Regex Option();

    private static int Side(double pixels) => Math.Max(64, (int)pixels / LatentSize.CellPixels * LatentSize.CellPixels);
}
