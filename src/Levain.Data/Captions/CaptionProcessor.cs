using System.Text.RegularExpressions;
using Levain.Core;

namespace Levain.Data;

/// <summary>Turns a stored caption into the one that is used now: prefix and suffix, dropout, wildcards, warm-up, shuffling, tag dropout, separators, replacements, in this order.</summary>
/// <remarks>The numbers drawn, and their order, are those of <c>process_caption</c> in sd-scripts' <c>library/train_util.py</c>.</remarks>
public sealed partial class CaptionProcessor(SubsetOptions options, int maxTrainSteps)
{
    // kohya joins with comma and space, whatever separates the tags of the stored caption.
    private const string Joint = ", ";

    /// <summary>Steps of the tag warm-up. A share of all steps becomes a number of steps at the first caption that looks at its tags.</summary>
    public double WarmupSteps { get; internal set; } = options.TokenWarmupStep;

    /// <summary>Texts to replace at the end, in order.</summary>
    public IReadOnlyList<CaptionReplacement> Replacements { get; init; } = [];

    /// <summary>The caption to use.</summary>
    /// <param name="caption">As stored; several lines only with wildcards.</param>
    /// <param name="epoch">Epoch, from 1; 0 before the first.</param>
    /// <param name="step">Optimizer steps made.</param>
    /// <param name="random">Source of every decision.</param>
    public string Process(string caption, int epoch, int step, PythonRandom random)
    {
        if (options.CaptionPrefix is { Length: > 0 } prefix) caption = prefix + " " + caption;
        if (options.CaptionSuffix is { Length: > 0 } suffix) caption = caption + " " + suffix;
        if (IsDropped(epoch, random)) return "";

        caption = options.EnableWildcard ? ChooseWildcards(caption, random) : caption.Split('\n')[0];
        if (options.ShuffleCaption || WarmupSteps > 0 || options.CaptionTagDropoutRate > 0) caption = ArrangeTags(caption, step, random);
        if (options.SecondarySeparator is { Length: > 0 } secondary) caption = caption.Replace(secondary, options.CaptionSeparator);
        return Replace(caption, random);
    }

    private bool IsDropped(int epoch, PythonRandom random)
    {
        var dropped = options.CaptionDropoutRate > 0 && random.Random() < options.CaptionDropoutRate;
        return dropped || options.CaptionDropoutEveryNEpochs > 0 && epoch % options.CaptionDropoutEveryNEpochs == 0;
    }

    private static string ChooseWildcards(string caption, PythonRandom random)
    {
        if (caption.Contains('\n')) caption = random.Choice(caption.Split('\n'));
        // Doubled braces are literal ones: they wait under a bracket that the caption does not use.
        var (open, close) = ("⦅", "⦆");
        while (caption.Contains(open) || caption.Contains(close)) (open, close) = (open + "⦅", close + "⦆");
        caption = caption.Replace("{{", open).Replace("}}", close);
        caption = Wildcard().Replace(caption, match => random.Choice(match.Groups[1].Value.Split('|')));
        return caption.Replace(open, "{").Replace(close, "}");
    }

    private string ArrangeTags(string caption, int step, PythonRandom random)
    {
        var (kept, tags, end) = Split(caption);
        if (WarmupSteps < 1) WarmupSteps = Math.Floor(WarmupSteps * maxTrainSteps);
        if (WarmupSteps > 0 && step < WarmupSteps)
        {
            var count = (int)Math.Floor(step * ((tags.Count - options.TokenWarmupMin) / WarmupSteps)) + options.TokenWarmupMin;
            // As a Python slice: a negative end counts from the back.
            tags = tags[..Math.Clamp(count < 0 ? tags.Count + count : count, 0, tags.Count)];
        }
        if (options.ShuffleCaption) random.Shuffle(tags);
        if (options.CaptionTagDropoutRate > 0) tags = [.. tags.Where(_ => random.Random() >= options.CaptionTagDropoutRate)];
        return string.Join(Joint, [.. kept, .. tags, .. end]);
    }

    private (IReadOnlyList<string> Kept, List<string> Tags, IReadOnlyList<string> End) Split(string caption)
    {
        if (options.KeepTokensSeparator is not { Length: > 0 } separator || !caption.Contains(separator))
        {
            var all = PythonText.Strip(caption).Split(options.CaptionSeparator).Select(PythonText.Strip).ToList();
            var fixedCount = Math.Clamp(options.KeepTokens, 0, all.Count);
            return (all[..fixedCount], all[fixedCount..], []);
        }
        var parts = caption.Split(separator, 3);
        return (Tags(parts[0]), Tags(parts[1]), parts.Length > 2 ? Tags(parts[2]) : []);
    }

    private List<string> Tags(string text) =>
        [.. text.Split(options.CaptionSeparator).Select(PythonText.Strip).Where(tag => tag.Length > 0)];

    private string Replace(string caption, PythonRandom random)
    {
        foreach (var (from, to, templates) in Replacements)
            caption = from.Length > 0 ? caption.Replace(from, to) : templates is null ? to : random.Choice(templates);
        return caption;
    }

    [GeneratedRegex(@"\{([^}]+)\}")]
    private static partial Regex Wildcard();
}

/// <summary>A text in captions that stands for another one, such as the token of a trained embedding.</summary>
/// <param name="From">Text to replace; empty: the whole caption.</param>
/// <param name="To">What takes its place.</param>
/// <param name="Templates">For a whole caption: one of these is drawn instead of <paramref name="To"/>.</param>
public sealed record CaptionReplacement(string From, string To, IReadOnlyList<string>? Templates = null);
