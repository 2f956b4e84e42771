using System.Globalization;
using System.Text.RegularExpressions;

namespace Levain.Diffusion;

/// <summary>Splits a prompt at the word AND into parts that guide the picture together, each with a weight: <c>cat AND dog:0.5</c>.</summary>
/// <remarks>AUTOMATIC1111's webui, <c>prompt_parser.get_multicond_prompt_list</c>.</remarks>
public static partial class PromptParts
{
    /// <summary>The parts in order; a part without a number weighs 1, an empty one counts too.</summary>
    public static IReadOnlyList<WeightedText> Of(string prompt) => [.. And().Split(prompt).Select(Part)];

    /// <summary>The parts of several prompts, each different text once, in the order in which they are first met.</summary>
    public static (IReadOnlyList<string> Texts, IReadOnlyList<IReadOnlyList<(int Text, double Weight)>> Parts) OfAll(IReadOnlyList<string> prompts)
    {
        var (texts, parts) = (new List<string>(), new List<IReadOnlyList<(int, double)>>());
        foreach (var prompt in prompts)
        {
            var own = new List<(int, double)>();
            foreach (var part in Of(prompt))
            {
                var place = texts.IndexOf(part.Text);
                if (place < 0)
                {
                    place = texts.Count;
                    texts.Add(part.Text);
                }
                own.Add((place, part.Weight));
            }
            parts.Add(own);
        }
        return (texts, parts);
    }

    private static WeightedText Part(string text)
    {
        var match = WithWeight().Match(text);
        return match.Groups["weight"] is { Success: true, Value: var weight }
            ? new(match.Groups["text"].Value, double.Parse(weight, NumberStyles.Float, CultureInfo.InvariantCulture))
            : new(text.TrimEnd(), 1);
    }

    [GeneratedRegex(@"\bAND\b")]
    private static partial Regex And();

    [GeneratedRegex(@"^(?<text>(?s:.*?))\s*:\s*(?<weight>[-+]?(?:[0-9]+\.?|[0-9]*\.[0-9]+))\s*$")]
    private static partial Regex WithWeight();
}
