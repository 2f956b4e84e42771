using System.Text.RegularExpressions;

namespace Levain.Diffusion;

/// <summary>A tag of a prompt that asks for something beside words: <c>&lt;lora:name:0.8:te=0.5&gt;</c>.</summary>
/// <remarks>AUTOMATIC1111's webui, <c>extra_networks.parse_prompt</c>.</remarks>
public sealed partial class PromptTag
{
    /// <param name="kind">What it asks for: <c>lora</c>, <c>lyco</c>, <c>hypernet</c>.</param>
    /// <param name="items">What stands between its colons.</param>
    public PromptTag(string kind, IReadOnlyList<string> items)
    {
        (Kind, Items) = (kind, items);
        var (positional, named) = (new List<string>(), new Dictionary<string, string>());
        foreach (var item in items)
        {
            if (item.Split('=') is [var name, var value]) named[name] = value;
            else positional.Add(item);
        }
        (Positional, Named) = (positional, named);
    }

    /// <summary>What it asks for: <c>lora</c>, <c>lyco</c>, <c>hypernet</c>.</summary>
    public string Kind { get; }

    /// <summary>What stands between its colons, in order.</summary>
    public IReadOnlyList<string> Items { get; }

    /// <summary>Items without exactly one equals sign; a named item takes no place among them.</summary>
    public IReadOnlyList<string> Positional { get; }

    /// <summary>Items <c>name=value</c>; the last of a name counts.</summary>
    public IReadOnlyDictionary<string, string> Named { get; }

    /// <summary>The tags of a prompt in order, and the prompt without them; blanks around them stay.</summary>
    public static (string Text, IReadOnlyList<PromptTag> Tags) Split(string prompt) =>
        (Pattern().Replace(prompt, ""), [.. Pattern().Matches(prompt).Select(tag => new PromptTag(tag.Groups["kind"].Value, tag.Groups["items"].Value.Split(':')))]);

    /// <summary>
    /// The tags of pictures drawn together: those of the first prompt act on all, and every prompt loses its own.
    /// </summary>
    public static (IReadOnlyList<string> Texts, IReadOnlyList<PromptTag> Tags) SplitBatch(IReadOnlyList<string> prompts) =>
        ([.. prompts.Select(prompt => Split(prompt).Text)], prompts.Count == 0 ? [] : Split(prompts[0]).Tags);

    /// <summary>The tag as it was written.</summary>
    public override string ToString() => $"<{Kind}:{string.Join(':', Items)}>";

    [GeneratedRegex(@"<(?<kind>\w+):(?<items>[^>]+)>")]
    private static partial Regex Pattern();
}
