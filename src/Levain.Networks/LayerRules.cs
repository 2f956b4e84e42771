using Levain.Core;

namespace Levain.Networks;

/// <summary>
/// Factors for single layers (the extension calls them elemental): rules <c>blocks:words:factor</c>, parted by commas or lines. A rule fits a layer in one of its
/// blocks whose name holds one of its words; an empty list fits all, <c>NOT</c> in front turns a list around, the last rule that fits counts.
/// </summary>
/// <remarks>sd-webui-lora-block-weight, <c>ratiodealer</c>. Blocks and words are looked for anywhere in the layer's name and block: <c>IN0</c> is IN00 to IN09.</remarks>
public sealed class LayerRules
{
    private const int Parts = 3;
    private readonly IReadOnlyList<Rule> rules;

    private sealed record Rule(Words Blocks, Words Elements, double Ratio);

    private sealed record Words(bool Not, IReadOnlyList<string> Any)
    {
        public bool Fit(string name) => Any.Count == 0 || Any.Any(word => name.Contains(word, StringComparison.Ordinal)) != Not;
    }

    private LayerRules(string text, IReadOnlyList<Rule> rules) => (Text, this.rules) = (text, rules);

    /// <summary>No rule.</summary>
    public static LayerRules None { get; } = new("", []);

    /// <summary>The rules as they were written.</summary>
    public string Text { get; }

    /// <summary>Reads rules; lines that are none (not two colons, or no number at the end) are left out.</summary>
    public static LayerRules Parse(string text)
    {
        var rules = new List<Rule>();
        foreach (var line in text.Split(',', '\n'))
            if (line.Split(':') is { Length: Parts } parts && PythonNumber.Float(parts[2]) is { } ratio)
                rules.Add(new(WordsOf(parts[0], BlockNames.All), WordsOf(parts[1], []), ratio));
        return rules.Count == 0 && text.Length == 0 ? None : new(text, rules);
    }

    /// <summary>The factor of the last rule that fits; null where none does.</summary>
    /// <param name="layer">The layer's name inside the webui.</param>
    /// <param name="block">Its block: IN04.</param>
    public double? RatioOf(string layer, string block) => rules.LastOrDefault(rule => rule.Blocks.Fit(layer + block) && rule.Elements.Fit(layer + block))?.Ratio;

    private static Words WordsOf(string text, IReadOnlyList<string> names)
    {
        var (not, any) = BlockNames.Listed(text, names);
        return new(not, any);
    }
}
