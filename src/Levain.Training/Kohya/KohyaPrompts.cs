using System.Globalization;
using System.Text.Json;
using Levain.Core;
using Levain.Training.Settings;

namespace Levain.Training.Kohya;

/// <summary>kohya's file of sample prompts: text lines with options behind <c>--</c>, a JSON list, or TOML with <c>[prompt]</c> and <c>[[prompt.subset]]</c>.</summary>
/// <remarks>An option counts only after <c>" --"</c>: kohya takes a prompt that begins like one, such as "n girl", for it (K-27).</remarks>
internal static class KohyaPrompts
{
    private const int Width = 512, Steps = 30;
    private const double Guidance = 7.5;

    public static IReadOnlyList<SamplePrompt> Read(string text, string file, Problems problems)
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
                return [.. list.RootElement.EnumerateArray().Select(item => FromKeys(key => item.TryGetProperty(key, out var value) ? value.ValueKind is JsonValueKind.Number ? value.GetDouble() : value.ToString() : null))];
            }
            catch (Exception exception) when (exception is JsonException or InvalidOperationException)
            {
                problems.Add("--sample_prompts", $"is no JSON list: {exception.Message.TrimEnd('.')}.", "Give a list of objects with a prompt each.");
                return [];
            }
        }
        return [.. text.Split('\n').Select(line => line.Trim()).Where(line => line.Length > 0 && line[0] != '#').Select(line => FromLine(line, problems))];
    }

    private static SamplePrompt FromLine(string line, Problems problems)
    {
        var parts = (" " + line).Split(" --");
        var sample = new SamplePrompt { Prompt = parts[0].Trim(), Width = Width, Height = Width, Steps = Steps, Guidance = Guidance };
        foreach (var part in parts[1..])
        {
            var blank = part.IndexOf(' ');
            var (name, value) = blank < 0 ? (part, "") : (part[..blank].ToLowerInvariant(), part[(blank + 1)..].Trim());
            var number = double.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture, out var read) ? read : (double?)null;
            sample = (name, number) switch
            {
                ("n", _) => sample with { Negative = value },
                ("w", { } width) => sample with { Width = Side(width) },
                ("h", { } height) => sample with { Height = Side(height) },
                ("d", >= 0 and { } seed) => sample with { Seed = (long)seed },
                ("s", { } steps) => sample with { Steps = Math.Clamp((int)steps, 1, 1000) },
                ("ss", _) => sample with { Sampler = Sampler(value) },
                ("l", { } guidance) => sample with { Guidance = guidance },
                _ => Unknown(),
            };

            SamplePrompt Unknown()
            {
                problems.Add("--sample_prompts", $"holds \"--{part.Trim()}\".", "Known: --n negative, --w width, --h height, --d seed, --s steps, --l guidance, --ss sampler.");
                return sample;
            }
        }
        return sample;
    }

    private static SamplePrompt FromKeys(Func<string, object?> value)
    {
        return new()
        {
            Prompt = value("prompt") as string ?? "",
            Negative = value("negative_prompt") as string ?? "",
            Width = Side(Number("width") ?? Width),
            Height = Side(Number("height") ?? Width),
            Seed = (long)(Number("seed") ?? 1),
            Steps = (int)(Number("sample_steps") ?? Steps),
            Guidance = Number("scale") ?? Guidance,
            Sampler = value("sample_sampler") is string sampler ? Sampler(sampler) : null,
        };

        double? Number(string key) => value(key) switch { long whole => whole, double number => number, _ => null };
    }

    /// <summary>A sampler by kohya's name, <c>k_euler_a</c>.</summary>
    public static string Sampler(string name) => name.StartsWith("k_", StringComparison.Ordinal) ? name[2..] : name;

    private static int Side(double pixels) => Math.Max(64, (int)pixels / LatentSize.CellPixels * LatentSize.CellPixels);
}
