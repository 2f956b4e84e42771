using Levain.Core;

namespace Levain.Generation;

/// <summary>A regularization picture that is to be drawn: what the base itself makes of a class.</summary>
/// <param name="Name">File name without its ending.</param>
/// <param name="Request">How it is drawn; without networks.</param>
/// <param name="Caption">What is written beside it, for kohya's folders.</param>
public sealed record RegPicture(string Name, GenerationRequest Request, string Caption)
{
    private const string Escaped = "()[]\\";

    /// <summary>The guide's easy route: class prompts in turn, seeds counting on.</summary>
    /// <param name="request">What all share; its seed is the first.</param>
    /// <param name="prompts">Class prompts, at least one.</param>
    /// <param name="count">Pictures wanted.</param>
    public static IReadOnlyList<RegPicture> OfClass(GenerationRequest request, IReadOnlyList<string> prompts, int count)
    {
        var digits = Math.Max(4, count.ToString().Length);
        return [.. Enumerable.Range(0, count).Select(i => new RegPicture((i + 1).ToString().PadLeft(digits, '0'),
            request with { Prompt = prompts[i % prompts.Count], Seed = (request.Seed + i) % (uint.MaxValue + 1L) }, prompts[i % prompts.Count]))];
    }

    /// <summary>The guide's hard route: one for each training picture, from its caption without the trigger, always from the same seed.</summary>
    /// <param name="request">What all share; its seed is every picture's.</param>
    /// <param name="name">The training picture's file name without its ending.</param>
    /// <param name="caption">Its caption.</param>
    /// <param name="trigger">Words that call the subject, with commas between; they are left out.</param>
    /// <param name="size">Size in px.</param>
    public static RegPicture OfCaption(GenerationRequest request, string name, string caption, string trigger, PixelSize size)
    {
        var left = Without(caption, trigger);
        return new(name, request with { Prompt = Plain(left), Size = size }, left);
    }

    /// <summary>A caption without the words of a trigger: whole tags, and in sentences whole words.</summary>
    public static string Without(string caption, string trigger)
    {
        var words = trigger.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        var tags = caption.Split(',').Select(tag => tag.Trim()).Where(tag => tag.Length > 0 && !words.Contains(tag, StringComparer.OrdinalIgnoreCase));
        var text = string.Join(", ", tags);
        foreach (var word in words)
            text = System.Text.RegularExpressions.Regex.Replace(text, $@"(?<!\w){System.Text.RegularExpressions.Regex.Escape(word)}(?!\w)\s*", "", System.Text.RegularExpressions.RegexOptions.IgnoreCase).Trim();
        return text;
    }

    /// <summary>A text as a prompt that has no weights: brackets are escaped.</summary>
    public static string Plain(string text) => string.Concat(text.Select(sign => Escaped.Contains(sign) ? $"\\{sign}" : $"{sign}"));

    /// <summary>Draws those that are not there yet into a folder, each with its caption.</summary>
    /// <param name="pipeline">The base.</param>
    /// <param name="pictures">What is wanted.</param>
    /// <param name="folder">The folder, for kohya <c>1_class</c>.</param>
    /// <param name="done">Told after each: how many are there, how many are wanted, and the file.</param>
    /// <param name="cancel">Looked at before every step.</param>
    /// <returns>Pictures drawn now.</returns>
    public static int Draw(GenerationPipeline pipeline, IReadOnlyList<RegPicture> pictures, string folder, Action<int, int, string>? done = null, CancellationToken cancel = default)
    {
        var drawn = 0;
        foreach (var (i, picture) in pictures.Index())
        {
            var file = Path.Combine(folder, picture.Name + ".png");
            // The caption is written first: a picture that is there is whole, and has its caption.
            if (!File.Exists(file))
            {
                var result = pipeline.Draw(picture.Request, cancel: cancel);
                AtomicFile.WriteText(Path.Combine(folder, picture.Name + ".txt"), picture.Caption);
                result.Save(file);
                drawn++;
            }
            done?.Invoke(i + 1, pictures.Count, file);
        }
        return drawn;
    }
}
