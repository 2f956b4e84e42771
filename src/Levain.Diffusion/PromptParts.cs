using System.Globalization;
using System.Text.RegularExpressions;

namespace Levain.Diffusion;

/// <summary>Splits a prompt at the word AND into parts that guide the picture together, each with a weight: <c>cat AND dog:0.5</c>.</summary>
/// <remarks>AUTOMATIC1111's webui, <c>prompt_parser.get_multicond_prompt_list</c>.</remarks>
public static partial class PromptParts
{
    /// <summary>The parts in order; a part without a number weighs 1, an empty one counts too.</summary>
    public static IReadOnlyList<WeightedText> Of(string prompt) => [.. And().Split(prompt).Select(Part)];

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
