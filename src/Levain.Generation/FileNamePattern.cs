using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Levain.Diffusion;

namespace Levain.Generation;

/// <summary>File names made from what a picture was drawn with: <c>[number]-[seed]-[prompt_words]</c>.</summary>
/// <remarks>The webui's patterns and its rules for what a file name may hold; what is not known stays as it is written.</remarks>
public static partial class FileNamePattern
{
    private const int MostLetters = 128, PromptWords = 8, NumberDigits = 5;
    private const string Forbidden = "#<>:\"/\\|?*\n\r\t";

    /// <summary>Names that can stand in brackets.</summary>
    public static IReadOnlyList<string> Names { get; } =
        ["number", "seed", "steps", "cfg", "width", "height", "sampler", "scheduler", "sampler_scheduler", "model_name", "prompt", "prompt_spaces", "prompt_words", "batch_number", "clip_skip", "denoising"];

    /// <summary>Whether a path holds a name in brackets.</summary>
    public static bool IsPattern(string path) => Bracketed().Matches(path).Any(match => Names.Contains(match.Groups[1].Value));

    /// <summary>The name of a picture.</summary>
    /// <param name="pattern">A path with names in brackets; folders stay as they are.</param>
    /// <param name="result">The picture.</param>
    /// <param name="number">Its number among the files of its folder.</param>
    /// <param name="batchNumber">Its number in this run, from 1.</param>
    /// <param name="modelName">The base's name.</param>
    public static string Of(string pattern, GenerationResult result, int number, int batchNumber, string? modelName = null) => Bracketed().Replace(pattern, match =>
    {
        var (request, sampler) = (result.Request, SamplerChoice.Parse(result.Request.Sampler));
        var schedule = (sampler.Schedule ?? request.ScheduleOptions.Schedule)?.Name ?? WebuiNames.Automatic;
        var value = match.Groups[1].Value switch
        {
            "number" => number.ToString(CultureInfo.InvariantCulture).PadLeft(NumberDigits, '0'),
            "seed" => Text(request.Seed),
            "steps" => Text(request.Steps),
            "cfg" => Text(request.CfgScale),
            "width" => Text(result.Picture.Size.Width),
            "height" => Text(result.Picture.Size.Height),
            "sampler" => sampler.Sampler.Name,
            "scheduler" => schedule,
            "sampler_scheduler" => $"{sampler.Sampler.Name} {schedule}",
            "model_name" => modelName ?? "",
            "prompt" => request.Prompt.Replace(' ', '_'),
            "prompt_spaces" => request.Prompt,
            "prompt_words" => string.Join(' ', Words().Matches(request.Prompt).Take(PromptWords).Select(word => word.Value)),
            "batch_number" => Text(batchNumber),
            "clip_skip" => Text(request.ClipSkip),
            "denoising" => request.Img2Img is { } img2img ? Text(img2img.Denoise) : "",
            _ => match.Value,
        };
        return ReferenceEquals(value, match.Value) ? value : Safe(value);
    });

    /// <summary>The next number in a folder: one more than the largest that a file's name begins with.</summary>
    public static int NextNumber(string folder)
    {
        if (!Directory.Exists(folder)) return 0;
        var numbers = Directory.EnumerateFiles(folder).Select(file => Leading().Match(Path.GetFileName(file))).Where(match => match.Success);
        return numbers.Select(match => int.TryParse(match.Value, CultureInfo.InvariantCulture, out var number) ? number : -1).DefaultIfEmpty(-1).Max() + 1;
    }

    private static string Safe(string text)
    {
        var name = new StringBuilder(text.TrimStart(' '));
        foreach (var letter in Forbidden) name.Replace(letter, '_');
        if (name.Length > MostLetters) name.Length = MostLetters;
        return name.ToString().TrimEnd(' ', '.');
    }

    private static string Text(double number) => number.ToString("R", CultureInfo.InvariantCulture);

    [GeneratedRegex(@"\[([a-z_]+)\]")]
    private static partial Regex Bracketed();

    [GeneratedRegex(@"[\w'-]+")]
    private static partial Regex Words();

    [GeneratedRegex(@"^\d+")]
    private static partial Regex Leading();
}
