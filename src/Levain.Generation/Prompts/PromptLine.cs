using System.Globalization;
using Levain.Core;
using Levain.Diffusion;

namespace Levain.Generation;

/// <summary>One line of a prompts file: a prompt, or options <c>--prompt … --steps 20</c>, which change what all lines share.</summary>
/// <remarks>AUTOMATIC1111's webui, <c>scripts/prompts_from_file.py</c>. A line that holds <c>--</c> but cannot be read as options is a prompt as a whole.</remarks>
public sealed class PromptLine
{
    private enum Kind { Words, Text, Sampler, Whole, Number, Flag }

    private static readonly Dictionary<string, Kind> Known = new(StringComparer.Ordinal)
    {
        ["prompt"] = Kind.Words,
        ["negative_prompt"] = Kind.Words,
        ["styles"] = Kind.Text,
        ["sd_model"] = Kind.Text,
        ["outpath_samples"] = Kind.Text,
        ["outpath_grids"] = Kind.Text,
        ["prompt_for_display"] = Kind.Text,
        ["sampler_name"] = Kind.Sampler,
        ["seed"] = Kind.Whole,
        ["subseed"] = Kind.Whole,
        ["seed_resize_from_h"] = Kind.Whole,
        ["seed_resize_from_w"] = Kind.Whole,
        ["sampler_index"] = Kind.Whole,
        ["batch_size"] = Kind.Whole,
        ["n_iter"] = Kind.Whole,
        ["steps"] = Kind.Whole,
        ["width"] = Kind.Whole,
        ["height"] = Kind.Whole,
        ["subseed_strength"] = Kind.Number,
        ["cfg_scale"] = Kind.Number,
        ["restore_faces"] = Kind.Flag,
        ["tiling"] = Kind.Flag,
        ["do_not_save_samples"] = Kind.Flag,
        ["do_not_save_grid"] = Kind.Flag,
    };

    private PromptLine(IReadOnlyDictionary<string, object?> options, string? mistake) => (Options, Mistake) = (options, mistake);

    /// <summary>What the line sets, by the webui's names: texts, whole numbers (<c>long</c>), numbers (<c>double</c>), flags; null for a sampler that is not known.</summary>
    public IReadOnlyDictionary<string, object?> Options { get; }

    /// <summary>Why a line with <c>--</c> in it is a prompt as a whole; null where it is not.</summary>
    public string? Mistake { get; }

    /// <summary>Pictures the line asks for.</summary>
    public int Count => (int)Math.Clamp(Number("n_iter") * Number("batch_size"), 1, int.MaxValue);

    /// <summary>A prompt as a whole, whatever it holds.</summary>
    public static PromptLine Of(string prompt) => new(new Dictionary<string, object?> { ["prompt"] = prompt }, null);

    /// <summary>The lines of a file; empty ones are left out.</summary>
    public static IReadOnlyList<PromptLine> Read(string text) => [.. text.ReplaceLineEndings("\n").Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(Parse)];

    /// <summary>Reads one line.</summary>
    public static PromptLine Parse(string line)
    {
        if (!line.Contains("--", StringComparison.Ordinal)) return Of(line);
        if (ShellWords.Split(line) is not { } words) return Whole("a quote is not closed");
        var options = new Dictionary<string, object?>(StringComparer.Ordinal);
        for (var at = 0; at < words.Count;)
        {
            var word = words[at++];
            if (!word.StartsWith("--", StringComparison.Ordinal)) return Whole($"'{word}' stands where an option should begin");
            if (!Known.TryGetValue(word[2..], out var kind)) return Whole($"'{word}' is not an option. {Nearest.Advice(word[2..], Known.Keys)}");
            if (at == words.Count) return Whole($"{word} has no value");
            var value = words[at++];
            if (kind == Kind.Words)
                while (at < words.Count && !words[at].StartsWith("--", StringComparison.Ordinal)) value += " " + words[at++];
            object? read = kind switch
            {
                Kind.Whole => PythonNumber.Int(value),
                Kind.Number => PythonNumber.Float(value),
                Kind.Flag => value == "true",
                Kind.Sampler => SamplerNamed(value),
                _ => value,
            };
            if (read is null && kind != Kind.Sampler) return Whole($"{word} is '{value}', which is no number");
            options[word[2..]] = read;
        }
        return new(options, null);

        PromptLine Whole(string mistake) => new(new Dictionary<string, object?> { ["prompt"] = line }, mistake);
    }

    /// <summary>The line's picture: what all lines share, changed by its options.</summary>
    /// <param name="shared">What all lines share; its prompt yields to the line's.</param>
    /// <returns>The request, and a remark for every option that has no meaning here.</returns>
    public (GenerationRequest Request, IReadOnlyList<string> Notes) Apply(GenerationRequest shared)
    {
        var (request, notes) = (shared, new List<string>());
        foreach (var (name, value) in Options)
        {
            request = (name, value) switch
            {
                ("prompt", string text) => request with { Prompt = text },
                ("negative_prompt", string text) => request with { NegativePrompt = text },
                ("styles", string text) => request with { Styles = [.. text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)] },
                ("seed", >= 0L and long seed) => request with { Seed = seed },
                ("seed", _) => request,                                                       // -1 keeps the shared one: whoever draws decided it
                ("subseed", >= 0L and long seed) => request with { SeedOptions = request.SeedOptions with { Variation = (request.SeedOptions.Variation ?? new(0, 0)) with { Seed = seed } } },
                ("subseed", _) => request,
                ("subseed_strength", double strength) => request with { SeedOptions = request.SeedOptions with { Variation = (request.SeedOptions.Variation ?? new(0, 0)) with { Strength = strength } } },
                ("seed_resize_from_w", > 0L and long width) => request with { SeedOptions = request.SeedOptions with { ResizeFrom = (request.SeedOptions.ResizeFrom ?? request.Size) with { Width = Side(width) } } },
                ("seed_resize_from_h", > 0L and long height) => request with { SeedOptions = request.SeedOptions with { ResizeFrom = (request.SeedOptions.ResizeFrom ?? request.Size) with { Height = Side(height) } } },
                ("seed_resize_from_w" or "seed_resize_from_h", _) => request,
                ("sampler_name", string sampler) => request with { Sampler = sampler },
                ("steps", long steps) => request with { Steps = (int)Math.Clamp(steps, int.MinValue, int.MaxValue) },
                ("cfg_scale", double scale) => request with { CfgScale = scale },
                ("width", long width) => request with { Size = request.Size with { Width = Side(width) } },
                ("height", long height) => request with { Size = request.Size with { Height = Side(height) } },
                ("tiling", bool joins) => request with { Joined = joins ? Joined.Both : Joined.None },
                ("n_iter" or "batch_size", _) => request,
                _ => Left(name, value),
            };
        }
        return (request, notes);

        GenerationRequest Left(string name, object? value)
        {
            notes.Add(name == "sampler_name" ? $"--sampler_name names no known sampler; {shared.Sampler} is used."
                : string.Create(CultureInfo.InvariantCulture, $"--{name} {value} has no meaning here and was left out."));
            return request;
        }
    }

    private static int Side(long pixels) => (int)Math.Clamp(pixels, 0, int.MaxValue);

    private long Number(string name) => Options.GetValueOrDefault(name) is >= 1L and <= int.MaxValue and long number ? number : 1;

    private static string? SamplerNamed(string name)
    {
        try
        {
            return SamplerChoice.Parse(name) is { Schedule: null } choice ? choice.Sampler.Name : null;
        }
        catch (SettingsException)
        {
            return null;
        }
    }
}
