using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>Diag-OFT: output rows are turned in groups of n neighbours, each by a rotation of its own: W'ₖ = Rₖᵀ·Wₖ.</summary>
/// <remarks>
/// Qiu et al. 2023, https://arxiv.org/abs/2306.07280, as LyCORIS 4.1.3 <c>modules/diag_oft.py</c>: rank splits the outputs as LoKr's factor does, and
/// the smaller side is n.
/// </remarks>
public sealed class DiagOft : OutputRotation
{
    /// <param name="site">Where it hangs.</param>
    /// <param name="numbers">Rank, form and dropouts.</param>
    public DiagOft(AdapterSite site, AdapterNumbers numbers) : this(site, numbers, LoKr.Factorization(site.Layer.Shape.Out, numbers.Rank)) { }

    private DiagOft(AdapterSite site, AdapterNumbers numbers, (long Size, long Count) split) : base(site, numbers, [split.Count, split.Size, split.Size]) { }

    /// <inheritdoc/>
    public override AdapterFamily Family => AdapterFamilies.DiagOft;

    private protected override Tensor Turn(Tensor rows, Tensor matrices) => TurnGroups(rows, matrices);

    private protected override Tensor Dropping(Tensor rotations) => Numbers.RankDropout is > 0 and var share && DropoutSource is { } source
        ? rotations.mul(Dropouts.Elements(rotations.shape, share, source)) : rotations;

    /// <summary>Rₖᵀ on each group of neighbouring rows.</summary>
    internal static Tensor TurnGroups(Tensor rows, Tensor matrices) =>
        matrices.transpose(1, 2).matmul(rows.reshape(rows.shape[0], matrices.shape[0], matrices.shape[1], -1)).reshape(rows.shape);

    internal static Adapter? Read(AdapterSite site, AdapterParts parts) =>
        !parts.Has(BlocksName) || parts.ShapeOf(BlocksName) is not [var count, var size, _] || parts.Module.StartsWith(KohyaOft.Prefix, StringComparison.Ordinal) || site.Layer.Shape.IsNorm
            ? null : Checked(site, parts, count, size, numbers => new DiagOft(site, numbers, (size, count)));

    /// <summary>An adapter over a file's blocks, if they cover the layer's outputs.</summary>
    internal static Adapter Checked(AdapterSite site, AdapterParts parts, long count, long size, Func<AdapterNumbers, Adapter> make)
    {
        if (count * size != site.Layer.Shape.Out) parts.Expect(site, BlocksName, [site.Layer.Shape.Out / Math.Max(1, size), size, size]);
        var constraint = parts.Has(AlphaName) ? parts.WrittenNumber(AlphaName) : 0;
        return parts.Sized(make(new((int)count, 1) { Form = parts.Form with { Constraint = constraint, Rescaled = parts.Has(RescaleName) } }));
    }
}

public static partial class AdapterFamilies
{
    /// <summary>LyCORIS' Diag-OFT.</summary>
    public static AdapterFamily DiagOft { get; } = new(
        "diag-oft", "Groups of output rows, each turned by a rotation (LyCORIS)", new("https://arxiv.org/abs/2306.07280"),
        [OutputRotation.BlocksName, OutputRotation.RescaleName], (site, numbers) => new DiagOft(site, numbers), Networks.DiagOft.Read)
    {
        Origin = AdapterOrigin.Lycoris,
        Advice = "Small files that keep the base's structure; cheaper than a LoRA of rank 32 and about as good. A constraint of 0 is usual.",
    };
}
