using Levain.Core;
using Levain.Diffusion;
using Levain.Networks;

namespace Levain.Generation;

/// <summary>Steps of a sampler between which a network acts on the U-Net, as lora-block-weight counts them.</summary>
/// <param name="Start">First step, counted from 0; null: from the beginning.</param>
/// <param name="Stop">The step before which it stops; null: never.</param>
public sealed record NetworkSteps(int? Start, int? Stop)
{
    /// <summary>Whether the network acts once the sampler has reported a step.</summary>
    /// <param name="reported">The step last reported, from 0; 0 as well before the first report. The webui looks at it one step late: N means the N-th step from 0 on, except 1, which means 0.</param>
    public bool Act(int reported)
    {
        var (started, stopped) = (Start is { } start && reported > start - 2, Stop is { } stop && reported > stop - 2);
        if (started && stopped) return Math.Max(Start!.Value, 1) > Math.Max(Stop!.Value, 1);      // what happened last holds
        return started || (!stopped && Start is null);
    }
}

/// <summary>What the extension lora-block-weight reads in a tag: <c>&lt;lora:name:1:0.8:lbw=OUTD:stop=10&gt;</c>.</summary>
/// <param name="TextEncoder">Strength in the text encoder.</param>
/// <param name="UNet">Strength in the U-Net.</param>
/// <param name="Blocks">Factors by block; null where the tag asks for none.</param>
/// <param name="Steps">When it acts; null: always.</param>
/// <param name="Notes">What was asked for and not found.</param>
/// <remarks>
/// sd-webui-lora-block-weight, <c>loradealer</c>. Keys are looked for anywhere in the items, the first hit counts. Where it reads something, its strengths go
/// before the webui's, which differ for <c>unet=</c> alone: here the text encoder then takes it too.
/// </remarks>
public sealed record BlockTag(double TextEncoder, double UNet, BlockWeights? Blocks, NetworkSteps? Steps, IReadOnlyList<string> Notes)
{
    private const int NamePlace = 0, TextEncoderPlace = 1, UNetPlace = 2, ExtraPlace = 3;

    /// <summary>Whether the tag asks for anything that the webui alone does not know.</summary>
    public bool Applies => Blocks is not null || Steps is not null;

    /// <summary>Reads the tags of a prompt. If one of them asks for block weights, all get the extension's strengths.</summary>
    /// <returns>One reading a tag; null where no tag asks for anything.</returns>
    /// <param name="tags">Tags of networks.</param>
    /// <param name="presets">Presets by name.</param>
    /// <param name="random">Where R and U are drawn from.</param>
    /// <exception cref="SettingsException">A strength or step is no number.</exception>
    public static (IReadOnlyList<BlockTag>? Tags, IReadOnlyList<string> Notes) ReadAll(IReadOnlyList<PromptTag> tags, BlockPresets presets, PythonRandom random)
    {
        var asked = tags.Select(tag => Extras(tag, presets, random)).ToList();
        List<string> notes = [.. asked.SelectMany(tag => tag.Notes)];
        if (!asked.Any(tag => tag.Blocks is not null || tag.Steps is not null)) return (null, notes);
        return ([.. tags.Zip(asked, (tag, extra) =>
        {
            var (te, unet) = (Strength(tag, "te=", TextEncoderPlace), Strength(tag, "unet=", UNetPlace));
            return new BlockTag(te ?? unet ?? 1, unet ?? te ?? 1, extra.Blocks, extra.Steps, extra.Notes);
        })], notes);
    }

    private static (BlockWeights? Blocks, NetworkSteps? Steps, IReadOnlyList<string> Notes) Extras(PromptTag tag, BlockPresets presets, PythonRandom random)
    {
        var notes = new List<string>();
        var values = Weights(tag, presets, random, notes);
        var layers = Layers(tag, presets, notes);
        return (values is null && layers is null ? null : new BlockWeights(values ?? BlockWeights.Flat(1).Values, layers), StepsOf(tag), notes);
    }

    private static IReadOnlyList<double>? Weights(PromptTag tag, BlockPresets presets, PythonRandom random, List<string> notes)
    {
        var keyed = Named(tag, "lbw=");
        var name = keyed ?? Plain(tag, UNetPlace) ?? Named(tag, "w=");
        if (Named(tag, "lwb=") is not null) notes.Add($"{tag}: 'lwb=' is not understood and was left out. Did you mean 'lbw='?");
        if (name is null) return null;
        var x = tag.Items.Count > ExtraPlace && (Named(tag, "x=") ?? Plain(tag, ExtraPlace)) is { } word ? PythonNumber.Float(word) ?? 1 : 1;
        var values = BlockWeights.Parse(presets.Weights.GetValueOrDefault(name, name), x, random);
        if (values is null && (keyed is not null || (PythonNumber.Float(name) is null && name.Length > 0)))
            notes.Add(name.Contains(',')
                ? $"{tag}: lists of block weights for SD 1.x have 12, 17, 20 or 26 numbers, and this one has {name.Count(c => c == ',') + 1}; it was left out."
                : presets.Weights.ContainsKey(name) ? $"{tag}: the preset '{name}' is for another kind of model and was left out."
                : $"{tag}: '{name}' is no preset of block weights and was left out. {Nearest.Advice(name, [.. presets.Weights.Keys])}");
        return values;
    }

    private static LayerRules? Layers(PromptTag tag, BlockPresets presets, List<string> notes)
    {
        var keyed = Named(tag, "lbwe=");
        if ((keyed ?? Plain(tag, ExtraPlace)) is not { } name) return null;
        if (presets.Layers.TryGetValue(name, out var rules)) return LayerRules.Parse(rules);
        if (keyed is not null) notes.Add($"{tag}: '{name}' names no rules for layers and was left out. {Nearest.Advice(name, [.. presets.Layers.Keys])}");
        return null;
    }

    private static NetworkSteps? StepsOf(PromptTag tag)
    {
        var (start, stop) = (Named(tag, "start="), Named(tag, "stop="));
        if (Named(tag, "step=") is { } range && range.Split('-') is [var from, var to]) (start, stop) = (from, to);
        return start is null && stop is null ? null : new(Step(start), Step(stop));

        int? Step(string? word) => word is null ? null : PythonNumber.Int(word) is { } step ? (int)Math.Clamp(step, 0, int.MaxValue)
            : throw NetworkTag.Refuse(tag, $"has '{word}' where a step is expected.", "Write whole numbers: start=5, stop=10, step=5-10.");
    }

    private static double? Strength(PromptTag tag, string key, int place)
    {
        if ((Named(tag, key) ?? Plain(tag, place)) is not { } word) return null;
        if (word.Contains('@')) return 1;
        return PythonNumber.Float(word) ?? throw NetworkTag.Refuse(tag, $"has '{word}' where a strength is expected.", $"Write a number; block weights are named lbw={word}.");
    }

    private static string? Named(PromptTag tag, string key) =>
        tag.Items.Skip(NamePlace + 1).FirstOrDefault(item => item.Contains(key, StringComparison.Ordinal))?.Replace(key, "");

    private static string? Plain(PromptTag tag, int place) => place < tag.Items.Count && !tag.Items[place].Contains('=') ? tag.Items[place] : null;
}
