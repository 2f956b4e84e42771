using Levain.Core;
using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>LyCORIS' DyLoRA: each pass draws a block of ranks and uses the ranks up to it, so that the file can be cut to fewer ranks afterwards.</summary>
/// <remarks>LyCORIS 4.1.3 <c>modules/dylora.py</c>. Blocks below the drawn one take part without a gradient, blocks above it do not.</remarks>
public sealed class Dylora : RankPieces
{
    /// <param name="site">Where it hangs.</param>
    /// <param name="numbers">Rank, alpha and form.</param>
    public Dylora(AdapterSite site, AdapterNumbers numbers) : base(site, numbers, "down_list", "up_list", plus: false) { }

    /// <inheritdoc/>
    public override AdapterFamily Family => AdapterFamilies.Dylora;

    private protected override int Draw(PythonRandom random) => (int)random.Below(Count);

    // L-02: LyCORIS divides by the number of blocks where loaders divide by the number of ranks.
    private protected override (int Taking, double Factor) Part(int piece) => (piece + 1, Numbers.Alpha / ((piece + 1) * (Form.AsLycoris ? 1 : Piece)));

    /// <inheritdoc/>
    public override IEnumerable<KeyValuePair<string, Tensor>> Saved()
    {
        var shape = Site.Layer.Shape;
        yield return new("alpha", AlphaTensor());
        yield return new(LierLa.UpName, Up());          // two dimensions, also for convolutions
        var down = Down();
        yield return new(LierLa.DownName, shape.Kind == LayerKind.Linear ? down : down.view(-1, shape.In, shape.Kernel.H, shape.Kernel.W));
    }

    internal static Adapter? Read(AdapterSite site, AdapterParts parts) => NumbersOf(site, parts) is { } numbers ? new Dylora(site, numbers) : null;
}

public static partial class AdapterFamilies
{
    /// <summary>LyCORIS' DyLoRA.</summary>
    public static AdapterFamily Dylora { get; } = new(
        "dylora", "A low-rank product whose rank can be cut afterwards (LyCORIS)", new("https://arxiv.org/abs/2210.07558"),
        [LierLa.DownName, LierLa.UpName], (site, numbers) => new Dylora(site, numbers), Networks.Dylora.Read)
    {
        Origin = AdapterOrigin.Lycoris,
        KeepsWholeAlpha = true,
        Check = RankPieces.CheckPieces,
        Advice = "Only where the rank shall be cut afterwards: it learns two to three times slower. A large rank, alpha a quarter of it to all of it.",
    };
}
