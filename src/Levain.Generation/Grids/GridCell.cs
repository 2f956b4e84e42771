using System.Globalization;
using Levain.Core;
using Levain.Networks;

namespace Levain.Generation;

/// <summary>One picture of a grid before it is drawn: the request, the base, and block weights that axes change together.</summary>
/// <param name="Request">The request.</param>
public sealed record GridCell(GenerationRequest Request)
{
    private const string Preset = "XYZ", Opposite = "ZYX";
    private const int Digits = 3;
    private static readonly string Ones = string.Join(',', BlockNames.ByLength[17].Select(_ => '1'));

    /// <summary>The checkpoint; null for the grid's own.</summary>
    public string? Checkpoint { get; init; }

    /// <summary>The VAE; null for the checkpoint's own.</summary>
    public string? Vae { get; init; }

    /// <summary>Weights that block axes begin with: a preset's name or a list, or two of them by lines; null for the preset XYZ, or all 1.</summary>
    public string? BlockBase { get; init; }

    /// <summary>Blocks that get <see cref="BlockValue"/>: <c>IN05-OUT05</c>, <c>NOT BASE</c>.</summary>
    public string? BlockIds { get; init; }

    /// <summary>The weight of these blocks.</summary>
    public string? BlockValue { get; init; }

    /// <summary>Rules for layers, or the name of a preset of them.</summary>
    public string? LayerRules { get; init; }

    /// <summary>The request with what block axes say as the presets XYZ (and ZYX, 1 minus it).</summary>
    /// <param name="presets">Presets by name.</param>
    /// <exception cref="SettingsException">A block is not in the list, or the prompt does not use the preset.</exception>
    public GridCell Finished(BlockPresets presets)
    {
        if (BlockBase is null && BlockIds is null && BlockValue is null && LayerRules is null) return this;
        if (!Request.Prompt.Contains($"={Preset}", StringComparison.Ordinal) && !Request.Prompt.Contains($"={Opposite}", StringComparison.Ordinal))
            throw new SettingsException([new("prompt", $"does not use the preset {Preset}, which block axes change.", "Write <lora:NAME:1:lbw=XYZ>, for rules <lora:NAME:1:lbw=XYZ:lbwe=XYZ>.")]);
        var weights = (BlockBase ?? (presets.Weights.ContainsKey(Preset) ? Preset : Ones)).Split('\n').Select(name => presets.Weights.GetValueOrDefault(name, name)).Aggregate(Joined);
        if (BlockIds is { } ids && BlockValue is { } value) weights = WithBlocks(weights, ids, value);
        var made = new BlockPresets();
        made.AddWeights($"{Preset}:{weights}\n{Opposite}:{string.Join(',', weights.Split(',').Select(Turned))}");
        if (!made.Weights.ContainsKey(Preset)) throw new SettingsException([new("axis", $"begins with the block weights '{weights}'.", Nearest.Advice(weights, [.. presets.Weights.Keys]))]);
        if (LayerRules is { } rules) made.AddLayers($"{Preset}:{presets.Layers.GetValueOrDefault(rules, rules)}");
        return this with { Request = Request with { BlockPresets = made } };
    }

    /// <summary>A list of weights with some blocks at another value.</summary>
    /// <param name="weights">12, 17, 20 or 26 weights.</param>
    /// <param name="ids">Blocks and ranges with blanks between them; <c>NOT</c> in front for all others.</param>
    /// <exception cref="SettingsException">The list has no such block.</exception>
    public static string WithBlocks(string weights, string ids, string value)
    {
        var list = weights.Split(',', StringSplitOptions.TrimEntries);
        if (!BlockNames.ByLength.TryGetValue(list.Length, out var names)) throw new SettingsException([new("axis", $"begins with {list.Length} block weights.", "Lists have 12, 17, 20 or 26.")]);
        foreach (var block in BlockNames.Named(ids, names))
        {
            var place = names.ToList().IndexOf(block);
            if (place < 0) throw new SettingsException([new("axis", $"names the block '{block}', which a list of {list.Length} weights has not.", $"It has {string.Join(' ', names)}.")]);
            list[place] = value;
        }
        return string.Join(',', list);
    }

    /// <summary>Two lists as one: where both have a weight the first's counts, else what there is.</summary>
    /// <param name="first">Weights of the first axis.</param>
    /// <param name="second">Weights of the second.</param>
    public static string Joined(string first, string second)
    {
        var (one, other) = (first.Split(','), second.Split(','));
        if (one.Length != other.Length) throw new SettingsException([new("axis", $"joins lists of {one.Length} and {other.Length} block weights.", "Use lists of one length.")]);
        return string.Join(',', one.Zip(other, (a, b) => PythonNumber.Float(a) is { } left && PythonNumber.Float(b) is { } right
            ? Show(left != 0 && right != 0 ? left : left + right) : a));
    }

    private static string Turned(string weight) => PythonNumber.Float(weight) is { } number ? Show(1 - number) : weight;

    private static string Show(double number) => Math.Round(number, Digits).ToString("R", CultureInfo.InvariantCulture);
}
