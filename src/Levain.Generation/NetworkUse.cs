using System.Globalization;
using Levain.Core;
using Levain.Networks;

namespace Levain.Generation;

/// <summary>A network file and how strongly it acts on one picture.</summary>
/// <param name="Path">The file.</param>
/// <param name="Strength">Strengths in the text encoder and the U-Net; 1 as trained.</param>
public sealed record NetworkUse(string Path, NetworkStrength Strength)
{
    /// <summary>The name a tag calls it by; null for its file name.</summary>
    public string? Alias { get; init; }

    /// <summary>How many ranks of its low-rank products are used, from the first; null for all.</summary>
    public int? Ranks { get; init; }

    /// <summary>Steps between which it acts on the U-Net; null: always. The text encoder is read before the first step.</summary>
    public NetworkSteps? Steps { get; init; }

    /// <summary>What to call it.</summary>
    public string Name => Alias ?? System.IO.Path.GetFileNameWithoutExtension(Path);

    /// <summary>The tag that asks for it in a prompt, so that a picture's infotext is enough to draw it again; rules for single layers have no place in one.</summary>
    public string Tag
    {
        get
        {
            var items = new List<string> { Name, Number(Strength.TextEncoder) };
            if (Strength.UNet != Strength.TextEncoder) items.Add(Number(Strength.UNet));
            if (Ranks is { } ranks) items.Add($"dyn={ranks}");
            if (Strength.Blocks is { } blocks) items.Add($"lbw={string.Join(',', blocks.Values.Select(Number))}");
            if (Steps?.Start is { } start) items.Add($"start={start}");
            if (Steps?.Stop is { } stop) items.Add($"stop={stop}");
            return $"<lora:{string.Join(':', items)}>";

            static string Number(double value) => value.ToString("R", CultureInfo.InvariantCulture);
        }
    }
}

/// <summary>A hypernetwork file and how strongly it acts on one picture.</summary>
/// <param name="Path">The file.</param>
/// <param name="Strength">Multiplier; 1 as trained.</param>
public sealed record HypernetworkUse(string Path, double Strength);

/// <summary>What a network did to one picture's base.</summary>
/// <param name="Name">The network, as the tag or file calls it.</param>
/// <param name="TextEncoderLayers">Layers of the text encoder whose weights it changed.</param>
/// <param name="UNetLayers">Layers of the U-Net whose weights it changed.</param>
/// <param name="UnchangedLayers">Layers that it adapts and that stayed as they are: strength, block weight or delta is 0.</param>
/// <param name="Share">‖ΔW‖ ÷ ‖W‖ (Frobenius) over the layers it changed; 0 where there are none.</param>
public sealed record NetworkEffect(string Name, int TextEncoderLayers, int UNetLayers, int UnchangedLayers, double Share)
{
    /// <summary>Whether it changed anything.</summary>
    public bool Acts => TextEncoderLayers + UNetLayers > 0;

    /// <summary>One sentence about it.</summary>
    public override string ToString() => !Acts ? $"{Name}: changed nothing ({Counted.Of(UnchangedLayers, "layer")}, all at strength 0 or with a delta of 0)."
        : FormattableString.Invariant($"{Name}: changed {Counted.Of(TextEncoderLayers, "layer")} of the text encoder and {UNetLayers} of the U-Net by {Share:P1} of their norm{(UnchangedLayers > 0 ? $"; {UnchangedLayers} stayed as they are" : "")}.");
}
