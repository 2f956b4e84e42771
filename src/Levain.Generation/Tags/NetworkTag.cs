using Levain.Core;
using Levain.Diffusion;

namespace Levain.Generation;

/// <summary>A tag <c>&lt;lora:name:te:unet:dyn&gt;</c> as the webui reads it.</summary>
/// <param name="Name">File name without extension, or alias.</param>
/// <param name="TextEncoder">Strength in the text encoder; 1 where none is given.</param>
/// <param name="UNet">Strength in the U-Net; the text encoder's where none is given.</param>
/// <param name="Ranks">How many ranks of a LoRA are used, from the first; null for all.</param>
/// <remarks>AUTOMATIC1111's webui, <c>extensions-builtin/Lora/extra_networks_lora.py</c>. The second field is the text encoder's, the third the U-Net's.</remarks>
public sealed record NetworkTag(string Name, double TextEncoder, double UNet, int? Ranks)
{
    /// <summary>Kinds of tags that name a network: <c>lora</c>, and <c>lyco</c>, which means the same.</summary>
    public static IReadOnlyList<string> Kinds { get; } = ["lora", "lyco"];

    /// <summary>Reads a tag.</summary>
    /// <exception cref="SettingsException">It has no name, or something else where a number is expected.</exception>
    public static NetworkTag Parse(PromptTag tag)
    {
        if (tag.Positional.Count == 0) throw Refuse(tag, "names no network.", $"Write <{tag.Kind}:NAME:0.8>.");
        var te = Number("te", 1, "text encoder's strength") ?? 1;
        var unet = Number("unet", 2, "U-Net's strength") ?? te;
        return new(tag.Positional[0], te, unet, RanksOf(tag));

        double? Number(string name, int place, string what)
        {
            double? number = null;
            if (place < tag.Positional.Count) number = Read(tag.Positional[place]);
            if (tag.Named.TryGetValue(name, out var named)) number = Read(named);
            return number;

            double Read(string word) => PythonNumber.Float(word)
                ?? throw Refuse(tag, $"has '{word}' where the {what} is expected.", word.Length > 0 && char.IsLetter(word[0]) ? $"Write a number; block weights are named lbw={word}." : "Write a number: 0.8.");
        }
    }

    /// <summary>How many ranks a tag asks for.</summary>
    /// <exception cref="SettingsException">It is no whole number, or below 0.</exception>
    internal static int? RanksOf(PromptTag tag)
    {
        const int Place = 3;
        if ((tag.Named.GetValueOrDefault("dyn") ?? tag.Positional.ElementAtOrDefault(Place)) is not { } word) return null;
        return PythonNumber.Int(word) is >= 0 and <= int.MaxValue and var ranks ? (int)ranks
            : throw Refuse(tag, $"has '{word}' where the number of ranks is expected.", "Write a whole number: dyn=8.");
    }

    /// <summary>Says what is wrong with a tag.</summary>
    internal static SettingsException Refuse(PromptTag tag, string what, string fix) => new([new("prompt", $"{tag} {what}", fix)]);
}
