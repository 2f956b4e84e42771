namespace Levain.Networks;

/// <summary>Block weights by name, as the webui extension keeps them in <c>lbwpresets.txt</c> and <c>elempresets.txt</c>.</summary>
/// <remarks>sd-webui-lora-block-weight: a preset is a line <c>NAME:1,0,…</c>; rules for layers are <c>NAME:blocks:words:factor</c>, parted by empty lines. Of two of one name the later counts.</remarks>
public sealed class BlockPresets
{
    private readonly OrderedDictionary<string, string> weights = new(StringComparer.Ordinal), layers = new(StringComparer.Ordinal);

    /// <summary>Lists of weights by name.</summary>
    public IReadOnlyDictionary<string, string> Weights => weights;

    /// <summary>Rules for layers by name.</summary>
    public IReadOnlyDictionary<string, string> Layers => layers;

    /// <summary>The extension's own presets.</summary>
    public static BlockPresets Default()
    {
        var presets = new BlockPresets();
        presets.AddWeights("""
            NONE:0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0
            ALL:1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1
            INS:1,1,1,1,0,0,0,0,0,0,0,0,0,0,0,0,0
            IND:1,0,0,0,1,1,1,0,0,0,0,0,0,0,0,0,0
            INALL:1,1,1,1,1,1,1,0,0,0,0,0,0,0,0,0,0
            MIDD:1,0,0,0,1,1,1,1,1,1,1,1,0,0,0,0,0
            OUTD:1,0,0,0,0,0,0,0,1,1,1,1,0,0,0,0,0
            OUTS:1,0,0,0,0,0,0,0,0,0,0,0,1,1,1,1,1
            OUTALL:1,0,0,0,0,0,0,0,1,1,1,1,1,1,1,1,1
            ALL0.5:0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5
            """);
        presets.AddWeights($"FLUXALL:{string.Join(',', Enumerable.Repeat('1', 61))}");
        presets.AddLayers("ATTNDEEPON:IN05-OUT05:attn:1\n\nATTNDEEPOFF:IN05-OUT05:attn:0\n\nPROJDEEPOFF:IN05-OUT05:proj:0\n\nXYZ:::1");
        return presets;
    }

    /// <summary>Adds the presets of an <c>lbwpresets.txt</c>: lines with a colon, without <c>#</c>, and with as many weights as some list has.</summary>
    /// <returns>A remark for every line with a colon and commas whose number of weights fits no list.</returns>
    public IReadOnlyList<string> AddWeights(string text)
    {
        var notes = new List<string>();
        foreach (var line in text.ReplaceLineEndings("\n").Split('\n'))
        {
            var colon = line.IndexOf(':');
            if (colon < 0 || line.Contains('#')) continue;
            var count = line.Count(c => c == ',') + 1;
            if (BlockNames.ByLength.ContainsKey(count)) weights[line[..colon].Trim()] = line[(colon + 1)..];
            else if (count > 1) notes.Add($"The preset '{line[..colon].Trim()}' has {count} weights and was left out: lists have {string.Join(", ", BlockNames.ByLength.Keys.Order())}.");
        }
        return notes;
    }

    /// <summary>These presets and others, which count where both have a name.</summary>
    public BlockPresets With(BlockPresets others)
    {
        var both = new BlockPresets();
        foreach (var presets in (BlockPresets[])[this, others])
        {
            foreach (var (name, list) in presets.weights) both.weights[name] = list;
            foreach (var (name, rules) in presets.layers) both.layers[name] = rules;
        }
        return both;
    }

    /// <summary>Adds the presets of an <c>elempresets.txt</c>.</summary>
    public void AddLayers(string text)
    {
        foreach (var block in text.ReplaceLineEndings("\n").Split("\n\n", StringSplitOptions.RemoveEmptyEntries))
        {
            var colon = block.IndexOf(':');
            if (colon >= 0) layers[block[..colon].Trim()] = block[(colon + 1)..].TrimEnd('\n');
        }
    }
}
