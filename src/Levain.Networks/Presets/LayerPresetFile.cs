using Levain.Core;

namespace Levain.Networks;

/// <summary>A preset file of LyCORIS: TOML with the targets of U-Net and text encoder, and other families for some of them.</summary>
/// <remarks>LyCORIS <c>docs/Preset.md</c> and <c>lycoris/kohya.py</c>; every key left out is that of the preset <c>full</c>.</remarks>
public static class LayerPresetFile
{
    private static readonly string[] Known =
        ["enable_conv", "unet_target_module", "unet_target_name", "text_encoder_target_module", "text_encoder_target_name", "exclude_name",
         "module_algo_map", "name_algo_map", "use_fnmatch", "lora_prefix", "target_module", "target_name"];

    /// <summary>Reads the text of a preset file; everything wrong in it is added to <paramref name="problems"/>.</summary>
    /// <param name="text">TOML.</param>
    /// <param name="name">File name shown in messages.</param>
    /// <param name="problems">What is wrong.</param>
    /// <param name="lenient">Whether unknown keys and arguments are passed over, as LyCORIS does.</param>
    public static LayerTargets Read(string text, string name, Problems problems, bool lenient = false)
    {
        var root = TomlDocument.Parse(text, name, problems).Root;
        foreach (var key in root.Keys.Where(key => !lenient && !Known.Contains(key)))
            problems.Add($"{root[key]!.Origin} {key}", "is not a key of a preset.", Nearest.Advice(key, Known));
        var full = LayerPresets.Full.Targets;
        var targets = full with
        {
            Convolutions = Flag(root, "enable_conv", full.Convolutions, problems),
            UNet = Texts(root, "unet_target_module", full.UNet, problems),
            UNetNames = Texts(root, "unet_target_name", full.UNetNames, problems),
            TextEncoder = Texts(root, "text_encoder_target_module", full.TextEncoder, problems),
            TextEncoderNames = Texts(root, "text_encoder_target_name", full.TextEncoderNames, problems),
            Excluded = Texts(root, "exclude_name", [], problems),
            ByClass = Changes(root, "module_algo_map", problems, lenient),
            ByName = Changes(root, "name_algo_map", problems, lenient),
            Wildcards = Flag(root, "use_fnmatch", false, problems),
        };
        targets.Check(problems);
        return targets;
    }

    private static bool Flag(TomlTable table, string key, bool otherwise, Problems problems)
    {
        if (table[key] is not { } entry) return otherwise;
        if (entry.Value is bool flag) return flag;
        problems.Add($"{entry.Origin} {key}", $"is {entry.Described}.", "Give true or false.");
        return otherwise;
    }

    private static IReadOnlyList<string> Texts(TomlTable table, string key, IReadOnlyList<string> otherwise, Problems problems)
    {
        if (table[key] is not { } entry) return otherwise;
        if (entry.Value is List<TomlEntry> list && list.All(item => item.Value is string)) return [.. list.Select(item => (string)item.Value)];
        problems.Add($"{entry.Origin} {key}", $"is {entry.Described}.", "Give a list of names.");
        return otherwise;
    }

    private static Dictionary<string, AdapterChange> Changes(TomlTable table, string key, Problems problems, bool lenient)
    {
        var changes = new Dictionary<string, AdapterChange>();
        if (table[key] is not { } entry) return changes;
        if (entry.Value is not TomlTable map)
        {
            problems.Add($"{entry.Origin} {key}", $"is {entry.Described}.", "Give a table for each class or name.");
            return changes;
        }
        foreach (var target in map.Keys)
            if (map[target]!.Value is TomlTable arguments) changes[target] = LycorisArguments.Change(arguments, problems, lenient);
            else problems.Add($"{map[target]!.Origin} {key}.{target}", $"is {map[target]!.Described}.", "Give a table, such as { algo = \"lokr\", dim = 8 }.");
        return changes;
    }
}
