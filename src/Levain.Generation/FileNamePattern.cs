using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using Levain.Diffusion;

namespace Levain.Generation;

/// <summary>What a file name says of a picture beside the picture itself.</summary>
/// <param name="Number">Its number among the files of its folder.</param>
/// <param name="Index">Its place among the pictures of its request, from 0.</param>
public sealed record FilePlace(int Number, int Index = 0)
{
    /// <summary>The batches it comes from.</summary>
    public BatchOptions Batch { get; init; } = new();

    /// <summary>When it was drawn.</summary>
    public DateTime Drawn { get; init; }
}

/// <summary>File names made from what a picture was drawn with: <c>[number]-[seed]-[prompt_words]</c>.</summary>
/// <remarks>AUTOMATIC1111's webui, <c>images.FilenameGenerator</c>; what is not known stays as it is written, and where a picture has no value the text before goes too.</remarks>
public static partial class FileNamePattern
{
    private const int MostLetters = 128, PromptWords = 8, NumberDigits = 5, HashDigits = 8;
    private const string Forbidden = "#<>:\"/\\|?*\n\r\t";
    private const string Nothing = "\0";           // no file name holds it

    /// <summary>Names that can stand in brackets.</summary>
    public static IReadOnlyList<string> Names { get; } =
    [
        "number", "seed", "steps", "cfg", "width", "height", "sampler", "scheduler", "sampler_scheduler", "model_name", "model_hash", "vae_filename", "styles", "prompt", "prompt_no_styles", "prompt_spaces",
        "prompt_words", "prompt_hash", "negative_prompt_hash", "full_prompt_hash", "hasprompt", "image_hash", "batch_number", "batch_size", "generation_number", "clip_skip", "denoising", "date", "datetime", "none",
    ];

    /// <summary>Whether a path holds a name in brackets.</summary>
    public static bool IsPattern(string path) => Bracketed().Matches(path).Any(match => match.Groups["name"].Success && Names.Contains(Parts(match.Groups["name"].Value).Name));

    /// <summary>The name of a picture.</summary>
    /// <param name="pattern">A path with names in brackets; folders stay as they are.</param>
    /// <param name="result">The picture; its infotext tells prompts with their styles, and the model.</param>
    /// <param name="place">Its place among files and batches.</param>
    public static string Of(string pattern, GenerationResult result, FilePlace place)
    {
        var name = new StringBuilder();
        var values = new Values(result, place);
        foreach (Match match in Bracketed().Matches(pattern))
        {
            var (before, inside) = (match.Groups["text"].Value, match.Groups["name"]);
            if (!inside.Success) name.Append(before);
            else if (values.Of(inside.Value) is not { } value) name.Append(before).Append('[').Append(inside.Value).Append(']');
            else if (value != Nothing) name.Append(before).Append(value);
        }
        return name.ToString();
    }

    /// <summary>The next number in a folder: one more than the largest that a file's name begins with.</summary>
    public static int NextNumber(string folder)
    {
        if (!Directory.Exists(folder)) return 0;
        var numbers = Directory.EnumerateFiles(folder).Select(file => Leading().Match(Path.GetFileName(file))).Where(match => match.Success);
        return numbers.Select(match => int.TryParse(match.Value, CultureInfo.InvariantCulture, out var number) ? number : -1).DefaultIfEmpty(-1).Max() + 1;
    }

    /// <summary>A text as part of a file name: no signs that a file system refuses, 128 letters, no blank before it, no blank or dot behind it.</summary>
    /// <param name="text">The text.</param>
    /// <param name="blanks">Whether blanks stay; otherwise they become <c>_</c>.</param>
    internal static string Safe(string text, bool blanks = true)
    {
        var name = new StringBuilder((blanks ? text : text.Replace(' ', '_')).TrimStart(' '));
        foreach (var letter in Forbidden) name.Replace(letter, '_');
        if (name.Length > MostLetters) name.Length = MostLetters;
        return name.ToString().TrimEnd(' ', '.');
    }

    /// <summary>A name and what stands behind it in angle brackets: <c>prompt_hash&lt;4&gt;</c>.</summary>
    private static (string Name, List<string> Arguments) Parts(string inside)
    {
        var arguments = new List<string>();
        while (Argument().Match(inside) is { Success: true } match)
        {
            inside = match.Groups[1].Value;
            arguments.Insert(0, match.Groups[2].Value);
        }
        return (inside.ToLowerInvariant(), arguments);
    }

    /// <summary>The values of one picture.</summary>
    private sealed class Values
    {
        private readonly GenerationResult result;
        private readonly FilePlace place;
        private readonly ReadInfotext told;
        private readonly string prompt, negative;

        public Values(GenerationResult result, FilePlace place)
        {
            (this.result, this.place) = (result, place);
            told = InfotextReader.Read(result.Infotext);
            (prompt, negative) = result.Infotext.Length > 0 ? (told.Request.Prompt, told.Request.NegativePrompt) : (result.Request.Prompt, result.Request.NegativePrompt);
        }

        /// <summary>The value of a name; null where there is none of that name, <see cref="Nothing"/> where this picture has none.</summary>
        public string? Of(string inside)
        {
            var (name, arguments) = Parts(inside);
            var (request, sampler) = (result.Request, SamplerChoice.Parse(result.Request.Sampler));
            var schedule = (sampler.Schedule ?? request.ScheduleOptions.Schedule)?.Name ?? WebuiNames.Automatic;
            return name switch
            {
                "number" => place.Number.ToString(CultureInfo.InvariantCulture).PadLeft(NumberDigits, '0'),
                "seed" => Text(request.Seed),
                "steps" => Text(request.Steps),
                "cfg" => Text(request.CfgScale),
                "width" => Text(result.Picture.Size.Width),
                "height" => Text(result.Picture.Size.Height),
                "sampler" => Safe(sampler.Sampler.Name),
                "scheduler" => Safe(schedule),
                "sampler_scheduler" => Safe($"{sampler.Sampler.Name} {schedule}"),
                "model_name" => Safe(told.Fields.GetValueOrDefault("Model", "")),
                "model_hash" => told.Fields.GetValueOrDefault("Model hash", ""),
                "vae_filename" => told.Fields.TryGetValue("VAE", out var vae) ? Safe(vae.Split('.')[0]) : "NoneType",
                "styles" => Safe(request.Styles.Count > 0 ? string.Join(", ", request.Styles) : "None"),
                "prompt" => Safe(prompt, blanks: false),
                "prompt_no_styles" => Safe(request.Prompt),
                "prompt_spaces" => Safe(prompt),
                "prompt_words" => Safe(string.Join(' ', Separators().Split(prompt).Where(word => word.Length > 0).DefaultIfEmpty("empty").Take(PromptWords))),
                "prompt_hash" => Hash(Encoding.UTF8.GetBytes(prompt), HashDigits),
                "negative_prompt_hash" => Hash(Encoding.UTF8.GetBytes(negative), HashDigits),
                "full_prompt_hash" => Hash(Encoding.UTF8.GetBytes($"{prompt} {negative}"), HashDigits),
                "image_hash" => Hash(result.Picture.Rgb, int.MaxValue),
                "hasprompt" => Safe(string.Concat(arguments.Where(argument => argument.Length > 0).Select(argument => argument.Split('|')).Select(words => prompt.Contains(words[0], StringComparison.OrdinalIgnoreCase) ? words[0].ToLowerInvariant() : words.ElementAtOrDefault(1) ?? "")), blanks: false),
                "batch_number" => place.Batch.Size == 1 ? Nothing : Text(place.Index % place.Batch.Size + 1),
                "batch_size" => Text(place.Batch.Size),
                "generation_number" => place.Batch.Pictures == 1 ? Nothing : Text(place.Index + 1),
                "clip_skip" => Text(request.ClipSkip),
                "denoising" => (request.Img2Img?.Denoise ?? request.Hires?.Denoise) is { } denoise and not 0 ? Text(denoise) : Nothing,
                "date" => place.Drawn.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture),
                "datetime" when arguments.Count == 0 => place.Drawn.ToString("yyyyMMddHHmmss", CultureInfo.InvariantCulture),
                "none" => "",
                _ => null,
            };

            string? Hash(byte[] bytes, int usual)
            {
                var digits = arguments.FirstOrDefault() is { Length: > 0 } given ? int.TryParse(given, CultureInfo.InvariantCulture, out var count) && count > 0 ? count : -1 : usual;
                var hash = Convert.ToHexStringLower(SHA256.HashData(bytes));
                return digits < 0 ? null : hash[..Math.Min(digits, hash.Length)];
            }
        }

        private static string Text(double number) => number.ToString("R", CultureInfo.InvariantCulture);
    }

    [GeneratedRegex(@"(?<text>.*?)(?:\[(?<name>[^\[\]]+)\]|$)", RegexOptions.Singleline)]
    private static partial Regex Bracketed();

    [GeneratedRegex("^(.*)<([^>]*)>$", RegexOptions.Singleline)]
    private static partial Regex Argument();

    [GeneratedRegex("""[\s!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]+""")]
    private static partial Regex Separators();

    [GeneratedRegex(@"^\d+")]
    private static partial Regex Leading();
}
