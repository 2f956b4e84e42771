using System.Text.RegularExpressions;
using Levain.Core;

namespace Levain.Networks;

/// <summary>Which layers are adapted, and how: those inside a module of one of these classes, and those of one of these names.</summary>
/// <remarks>LyCORIS' presets as data; kohya's networks are the same without names and without exceptions.</remarks>
public sealed record LayerTargets
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);      // patterns come from files of strangers

    /// <summary>Class names in the U-Net, as in <see cref="Models.IAdaptableLayer.Owners"/>.</summary>
    public IReadOnlyList<string> UNet { get; init; } = [];

    /// <summary>Class names in the text encoder.</summary>
    public IReadOnlyList<string> TextEncoder { get; init; } = [];

    /// <summary>Names or patterns of single layers, or whole modules, of the U-Net: <c>conv_in</c>, <c>time_embedding.linear_1</c>.</summary>
    public IReadOnlyList<string> UNetNames { get; init; } = [];

    /// <summary>As <see cref="UNetNames"/>, of the text encoder.</summary>
    public IReadOnlyList<string> TextEncoderNames { get; init; } = [];

    /// <summary>Patterns of layers that are left out whatever else says.</summary>
    public IReadOnlyList<string> Excluded { get; init; } = [];

    /// <summary>Whether convolutions larger than 1×1 are adapted.</summary>
    public bool Convolutions { get; init; } = true;

    /// <summary>Other families and sizes, by class of a module around the layer or of the layer itself; the innermost wins.</summary>
    public IReadOnlyDictionary<string, AdapterChange> ByClass { get; init; } = new Dictionary<string, AdapterChange>();

    /// <summary>Other families and sizes, by name or pattern, for layers reached by name.</summary>
    public IReadOnlyDictionary<string, AdapterChange> ByName { get; init; } = new Dictionary<string, AdapterChange>();

    /// <summary>Whether patterns are shell wildcards over the whole name; else regular expressions from its start.</summary>
    public bool Wildcards { get; init; }

    /// <summary>Whether a pattern may begin behind any dot of a name, so that <c>to_k</c> is found. LyCORIS never looks there, which leaves its ia3 preset empty.</summary>
    public bool Suffixes { get; init; }

    /// <summary>kohya's LoRA: attention; with convolutions resnets and samplers too.</summary>
    public static LayerTargets Kohya(NetworkOptions options) => new()
    {
        UNet = options.AdaptsConvolutions ? ["Transformer2DModel", "ResnetBlock2D", "Downsample2D", "Upsample2D"] : ["Transformer2DModel"],
        TextEncoder = ["CLIPAttention", "CLIPSdpaAttention", "CLIPMLP"],
    };

    /// <summary>kohya's OFT: attention's four projections, or all of the transformer; with convolutions resnets and samplers too. No text encoder.</summary>
    public static LayerTargets KohyaOft(NetworkOptions options) => new()
    {
        UNet = [options.AllLinear ? "Transformer2DModel" : "CrossAttention", .. options.AdaptsConvolutions ? ["ResnetBlock2D", "Downsample2D", "Upsample2D"] : Array.Empty<string>()],
    };

    /// <summary>LyCORIS: what the preset says.</summary>
    public static LayerTargets Lycoris(NetworkOptions options) => options.Targets ?? LayerPresets.Full.Targets;

    /// <summary>Whether a layer is adapted, and what is special about it.</summary>
    /// <returns>Null where it is left out.</returns>
    public AdapterChange? Choose(AdapterSite site)
    {
        var (classes, names) = site.Part == NetworkPart.UNet ? (UNet, UNetNames) : (TextEncoder, TextEncoderNames);
        var key = site.Layer.Key;
        if (Excluded.Any(pattern => Matches(pattern, key))) return null;
        if (names.Any(pattern => pattern == key || Matches(pattern, key)))
            return (ByName.TryGetValue(key, out var exact) ? exact : ByName.FirstOrDefault(pair => Matches(pair.Key, key)).Value)
                ?? ByClass.GetValueOrDefault(ClassOf(site)) ?? AdapterChange.None;

        // A module reached by its class, unless its own name is a target; within it the innermost class with rules of its own.
        var (found, change, path) = (false, (AdapterChange?)null, key);
        var around = new List<(string Class, string Path)>();
        foreach (var owner in site.Layer.Owners.Reverse()) around.Add((owner, path = Parent(path)));
        around.Reverse();
        foreach (var (owner, place) in around)
        {
            if (!found && !(classes.Contains(owner) && !names.Any(pattern => Matches(pattern, place)))) continue;
            found = true;
            change = Within(change, owner);
        }
        // A class may be the layer's own: Linear, Conv2d.
        return found || classes.Contains(ClassOf(site)) ? Within(change, ClassOf(site)) ?? AdapterChange.None : null;
    }

    // A class with rules of its own has none of those around it, but the family it leaves out.
    private AdapterChange? Within(AdapterChange? outer, string name) => ByClass.GetValueOrDefault(name) is { } own ? own with { Family = own.Family ?? outer?.Family } : outer;

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    public void Check(Problems problems)
    {
        foreach (var pattern in UNetNames.Concat(TextEncoderNames).Concat(Excluded).Concat(ByName.Keys))
        {
            if (Wildcards) continue;
            try
            {
                _ = new Regex(pattern, RegexOptions.CultureInvariant, Patience);
            }
            catch (ArgumentException exception)
            {
                problems.Add(pattern, "is no pattern: " + exception.Message, "Write a regular expression, or the layer's name itself.");
            }
        }
        foreach (var (where, change) in ByClass.Concat(ByName))
            if (change.Family is { } family && AdapterFamilies.All.All(known => known.Name != family))
                problems.Add(where, $"asks for the family '{family}'.", Nearest.Advice(family, [.. AdapterFamilies.All.Select(known => known.Name)]));
    }

    // Lists of modules have no class of their own: their number belongs to the name of what is in them.
    private static string Parent(string path)
    {
        var cut = path.LastIndexOf('.');
        if (cut < 0) return "";
        if (int.TryParse(path.AsSpan(cut + 1), out _)) cut = path.LastIndexOf('.', cut - 1);
        return cut < 0 ? "" : path[..cut];
    }

    private static string ClassOf(AdapterSite site) => site.Layer.Shape.Kind.ToString();

    private bool Matches(string pattern, string name)
    {
        if (Suffixes) return name == pattern || name.EndsWith("." + pattern, StringComparison.Ordinal);
        var expression = Wildcards ? ShellPattern.Expression(pattern) : $"^(?:{pattern})";
        return Regex.IsMatch(name, expression, RegexOptions.CultureInvariant, Patience);
    }
}

/// <summary>What is special about an adapter: null leaves the network's own.</summary>
public sealed record AdapterChange
{
    /// <summary>Nothing.</summary>
    public static AdapterChange None { get; } = new();

    /// <summary>Another family.</summary>
    public string? Family { get; init; }

    /// <summary>Another rank, also where a convolution would get none.</summary>
    public long? Rank { get; init; }

    /// <summary>Another alpha.</summary>
    public double? Alpha { get; init; }

    /// <summary>Another form, made of the network's.</summary>
    public Func<AdapterForm, AdapterForm>? Form { get; init; }
}
