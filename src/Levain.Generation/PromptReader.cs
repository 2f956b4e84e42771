using Levain.Core;
using Levain.Diffusion;
using Levain.Networks;

namespace Levain.Generation;

/// <summary>A request's prompts, read: styles joined, comments and tags taken out, names looked up.</summary>
/// <param name="Shown">The prompt as infotexts show it: tags in it, and behind it those of networks that the request names itself.</param>
/// <param name="Text">The prompt without tags.</param>
/// <param name="Negative">The negative prompt; tags in it are text.</param>
/// <param name="Networks">Networks that act, the request's own before those of tags.</param>
/// <param name="Hypernetworks">Hypernetworks that act.</param>
/// <param name="Notes">What the user should know.</param>
internal sealed record ReadPrompt(string Shown, string Text, string Negative, IReadOnlyList<NetworkUse> Networks, IReadOnlyList<HypernetworkUse> Hypernetworks, IReadOnlyList<string> Notes);

/// <summary>Reads the prompts of requests in the webui's order: styles, comments, tags.</summary>
internal sealed class PromptReader
{
    private const string HypernetworkKind = "hypernet";
    private readonly PromptStyles styles;
    private readonly BlockPresets presets;
    private readonly NamedFiles networks, hypernetworks;
    private readonly List<string> presetNotes = [];

    /// <exception cref="SettingsException">A styles or presets file is not there.</exception>
    public PromptReader(PromptFolders folders)
    {
        styles = PromptStyles.Read(folders.Styles);
        presets = BlockPresets.Default();
        foreach (var path in folders.BlockPresets) presetNotes.AddRange(presets.AddWeights(Read(path)));
        foreach (var path in folders.LayerPresets) presets.AddLayers(Read(path));
        networks = new(folders.Networks, [".safetensors", ".pt", ".ckpt"], "--lora-dir");
        hypernetworks = new(folders.Hypernetworks, [".pt"], "--hypernet-dir");
    }

    /// <summary>Presets of block weights, the extension's own and those of files.</summary>
    public BlockPresets Presets => presets;

    /// <summary>Reads a request's prompts.</summary>
    /// <exception cref="SettingsException">A tag cannot be read or names nothing.</exception>
    public ReadPrompt Read(GenerationRequest request)
    {
        var problems = new Problems();
        styles.Check(request.Styles, problems);
        problems.ThrowIfAny();
        var (shown, negative) = styles.Apply(request.Prompt, request.NegativePrompt, request.Styles);
        (shown, negative) = (PromptComments.Strip(shown), PromptComments.Strip(negative));
        var (text, tags) = PromptTag.Split(shown);

        var notes = new List<string>(presetNotes);
        var ours = tags.Where(tag => NetworkTag.Kinds.Contains(tag.Kind)).ToList();
        foreach (var other in tags.Where(tag => !NetworkTag.Kinds.Contains(tag.Kind) && tag.Kind != HypernetworkKind))
            notes.Add($"{other} is no tag that is known here and was left out. {Nearest.Advice(other.Kind, [.. NetworkTag.Kinds, HypernetworkKind])}");
        shown += string.Concat(request.Networks.Select(use => use.Tag));
        return new(shown, text, negative, [.. request.Networks, .. Uses(ours, request, notes)], [.. tags.Where(tag => tag.Kind == HypernetworkKind).Select(Hypernetwork)], notes);
    }

    private List<NetworkUse> Uses(List<PromptTag> tags, GenerationRequest request, List<string> notes)
    {
        var known = request.BlockPresets is { } more ? presets.With(more) : presets;
        var (blocks, remarks) = BlockTag.ReadAll(tags, known, new(request.Seed));
        notes.AddRange(remarks);
        var uses = new List<NetworkUse>();
        foreach (var (i, tag) in tags.Index())
        {
            var (name, strength, ranks) = blocks is null
                ? NetworkTag.Parse(tag) is var plain ? (plain.Name, new NetworkStrength(plain.TextEncoder, plain.UNet), plain.Ranks) : default
                : (tag.Items[0], new NetworkStrength(blocks[i].TextEncoder, blocks[i].UNet) { Blocks = blocks[i].Blocks }, tag.Named.ContainsKey("dyn") ? NetworkTag.RanksOf(tag) : null);
            if (!double.IsFinite(strength.TextEncoder) || !double.IsFinite(strength.UNet)) throw NetworkTag.Refuse(tag, "has a strength that is not finite.", "Write a number: 0.8.");
            uses.Add(new(networks.Find(name, tag.ToString()), strength) { Alias = name, Ranks = ranks, Steps = blocks?[i].Steps });
        }
        // A file that is named twice acts twice, both times as the last tag says.
        return [.. uses.Select(use => uses.Last(other => other.Path == use.Path) with { Alias = use.Alias })];
    }

    private HypernetworkUse Hypernetwork(PromptTag tag)
    {
        if (tag.Positional.Count == 0) throw NetworkTag.Refuse(tag, "names no hypernetwork.", "Write <hypernet:NAME:0.8>.");
        var strength = tag.Positional.Count < 2 ? 1 : PythonNumber.Float(tag.Positional[1]) is { } number && double.IsFinite(number) ? number
            : throw NetworkTag.Refuse(tag, $"has '{tag.Positional[1]}' where its strength is expected.", "Write a number: 0.8.");
        return new(hypernetworks.Find(tag.Positional[0], tag.ToString()), strength);
    }

    private static string Read(string path) => File.Exists(path) ? File.ReadAllText(path) : throw new SettingsException([new(path, "is not there.", "Check the path.")]);
}
