using Levain.Core;
using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>kohya's DyLoRA: all ranks take part in every pass, but only a drawn unit of them is trained, and the product grows the lower that unit is.</summary>
/// <remarks>sd-scripts' networks/dylora.py: factor alpha/r · √(r ÷ (start of the unit + unit)). Without a draw, in pictures, the factor is alpha/r.</remarks>
public sealed class KohyaDylora : RankPieces
{
    /// <param name="site">Where it hangs.</param>
    /// <param name="numbers">Rank, alpha and form.</param>
    public KohyaDylora(AdapterSite site, AdapterNumbers numbers) : base(site, numbers, "lora_A", "lora_B", plus: true) { }

    /// <inheritdoc/>
    public override AdapterFamily Family => AdapterFamilies.KohyaDylora;

    private protected override int Draw(PythonRandom random) => (int)random.Below(Numbers.Rank) / Piece;

    private protected override (int Taking, double Factor) Part(int piece) => (Count, Scale * Math.Sqrt((double)Numbers.Rank / ((piece + 1) * Piece)));

    /// <inheritdoc/>
    public override IEnumerable<KeyValuePair<string, Tensor>> Saved()
    {
        var shape = Site.Layer.Shape;
        yield return new("alpha", AlphaTensor());
        var (down, up) = (Down(), Up());
        var linear = shape.Kind == LayerKind.Linear;
        yield return new(LierLa.DownName, linear ? down : down.view(-1, shape.In, shape.Kernel.H, shape.Kernel.W));
        yield return new(LierLa.UpName, linear ? up : up.view(shape.Out, -1, 1, 1));
    }

    internal static Adapter? Read(AdapterSite site, AdapterParts parts) => NumbersOf(site, parts) is { } numbers ? new KohyaDylora(site, numbers) : null;
}

public static partial class AdapterFamilies
{
    /// <summary>kohya's DyLoRA.</summary>
    public static AdapterFamily KohyaDylora { get; } = new(
        "kohya_dylora", "A low-rank product whose rank can be cut afterwards (kohya's networks.dylora)", new("https://arxiv.org/abs/2210.07558"),
        [LierLa.DownName, LierLa.UpName], (site, numbers) => new KohyaDylora(site, numbers), Networks.KohyaDylora.Read)
    {
        OneSize = true,
        Check = RankPieces.CheckPieces,
        Advice = "As dylora; every rank takes part in every step, and the file is a LoRA's. conv_rank must be the rank itself.",
    };
}
