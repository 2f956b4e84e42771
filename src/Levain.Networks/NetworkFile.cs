using Levain.Core;
using Levain.Formats;

namespace Levain.Networks;

/// <summary>A network file sorted by layer: which adapter of which family belongs where, and what else lies in it.</summary>
internal static class NetworkFile
{
    private const int MostNamed = 5;

    // Kinds of adapters by a tensor that only they have, for the message when this version lacks the family.
    private static readonly (string Part, string Kind)[] Kinds =
    [
        ("dora_scale", "DoRA"), ("lora_mid.weight", "Tucker LoCon"), ("hada_w1_a", "LoHa"), ("on_input", "IA3"), ("lokr_w1", "LoKr"), ("lokr_w1_a", "LoKr"),
        ("diff", "Full"), ("w_norm", "Norm"), ("oft_blocks", "OFT"), ("oft_diag", "OFT"), ("a1.weight", "GLoRA"), ("bias_indices", "sparse bias"),
    ];

    /// <summary>Adapters in the base's order, not yet filled, each with its tensors; and remarks on everything left out.</summary>
    /// <exception cref="CheckpointException">Nothing fits, or it is for another model or of a family this version lacks.</exception>
    public static (IReadOnlyList<(Adapter Adapter, AdapterParts Parts)> Adapters, IReadOnlyList<string> Notes) Read(TensorFile file, ModelLayers layers, AdapterFamily? preferred = null, AdapterForm? form = null)
    {
        var (sites, notes) = Place(file, layers, form);
        return ([.. layers.Sites.Where(sites.ContainsKey).Select(site => (Make(file, site, sites[site], preferred), sites[site]))], notes);
    }

    /// <summary>The file's tensors by the layers of a base; and remarks on everything left out.</summary>
    /// <exception cref="CheckpointException">Nothing fits, or it is for another model or of a family this version lacks.</exception>
    public static (IReadOnlyDictionary<AdapterSite, AdapterParts> Sites, IReadOnlyList<string> Notes) Place(TensorFile file, ModelLayers layers, AdapterForm? form = null)
    {
        var (modules, others) = Sort(file, form ?? new());
        if (modules.Count == 0) throw new CheckpointException(file.Path, "holds no adapter tensors (such as '….lora_down.weight'): it is not a network file.");
        if (modules.Keys.FirstOrDefault(IsSdxl) is { } sdxl)
            throw new CheckpointException(file.Path, "is a layer of SDXL, and this base is Stable Diffusion 1.x. Use a network made for SD 1.x.", sdxl);

        foreach (var parts in modules.Values)
            foreach (var (part, kind) in Kinds)
                if (parts.Has(part) && !AdapterFamilies.All.Any(family => family.Parts.Contains(part)))
                    throw new CheckpointException(file.Path, $"is of a {kind} network, which this version cannot load. "
                        + $"It loads: {string.Join(", ", AdapterFamilies.All.Select(family => family.Name))}.", $"{parts.Module}.{part}");

        var spellings = new Dictionary<string, AdapterSite>();
        foreach (var site in layers.Sites)
            foreach (var name in LayerNames.All(site.Part, site.Layer.Key)) spellings.TryAdd(name, site);

        var bySite = new Dictionary<AdapterSite, AdapterParts>();
        var unknown = new List<string>();
        foreach (var (module, parts) in modules)
        {
            if (spellings.TryGetValue(module, out var site)) bySite[site] = parts;
            else unknown.Add(module);
        }
        var names = layers.Sites.Select(site => site.Name).ToList();
        string few(IReadOnlyCollection<string> all, Func<string, string> tell) => string.Join(", ", all.Take(MostNamed).Select(tell)) + (all.Count > MostNamed ? ", …" : "");
        string told(string module) => Nearest.To(module, names, most: 1) is [var near] ? $"'{module}' (nearest: '{near}')" : $"'{module}'";
        if (bySite.Count == 0)
            throw new CheckpointException(file.Path, $"fits no layer of this base: it adapts {told(unknown[0])}{(unknown.Count > 1 ? $" and {unknown.Count - 1} more" : "")}. "
                + "Use a network made for this kind of base.");

        var notes = new List<string>();
        if (unknown.Count > 0)
            notes.Add($"{Counted.Of(unknown.Count, "layer")} of the file {(unknown.Count == 1 ? "is not in this base and was" : "are not in this base and were")} left out: {few(unknown, told)}.");
        var embeddings = others.Where(key => key.StartsWith("bundle_emb.", StringComparison.Ordinal)).ToList();
        if (embeddings.Count > 0) notes.Add($"The file also holds embeddings: {string.Join(", ", embeddings.Select(key => key.Split('.')[1]).Distinct())}.");
        var rest = others.Except(embeddings).ToList();
        if (rest.Count > 0) notes.Add($"{Counted.Of(rest.Count, "tensor")} {(rest.Count == 1 ? "is not understood and was" : "are not understood and were")} left out: {few(rest, key => $"'{key}'")}.");
        return (bySite, notes);
    }

    private static (Dictionary<string, AdapterParts> Modules, List<string> Others) Sort(TensorFile file, AdapterForm form)
    {
        var (modules, others) = (new Dictionary<string, AdapterParts>(), new List<string>());
        foreach (var entry in file.Entries.Values)
        {
            if (entry.Name.StartsWith("bundle_emb.", StringComparison.Ordinal) || LayerNames.Split(entry.Name) is not var (module, part))
            {
                others.Add(entry.Name);
                continue;
            }
            if (!modules.TryGetValue(module, out var parts)) modules[module] = parts = new(file.Path, module) { Form = form };
            parts.Add(part, entry.Name, entry.Shape, () => file.Load(entry.Name));
        }
        return (modules, others);
    }

    private static Adapter Make(TensorFile file, AdapterSite site, AdapterParts parts, AdapterFamily? preferred) => AdapterFamilies.Read(site, parts, preferred)
        ?? throw new CheckpointException(file.Path, $"has the tensors {string.Join(", ", parts.Names)}, which make no adapter that this version knows.", parts.Module);

    // Only SDXL has a second text encoder, or two transformer blocks in one place.
    private static bool IsSdxl(string module) =>
        module.StartsWith("lora_te2_", StringComparison.Ordinal) || module.StartsWith("text_encoder_2.", StringComparison.Ordinal)
        || module.StartsWith("clip_g.", StringComparison.Ordinal)
        || module.Contains("transformer_blocks_1_", StringComparison.Ordinal) || module.Contains("transformer_blocks.1.", StringComparison.Ordinal);
}
