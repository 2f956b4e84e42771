using System.Numerics;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>BOFT: output rows are turned by a product of sparse rotations, a butterfly, so that every row can reach every other.</summary>
/// <remarks>
/// Liu et al. 2023, https://arxiv.org/abs/2311.06243, as LyCORIS 4.1.3 <c>modules/boft.py</c>. The block b is the largest even number up to the rank
/// that leaves a power of two: 320, 640, 1280, 2560, 5120 and 10240 rows need a rank of 10 or more, 768 and 3072 of 6.
/// </remarks>
public sealed class Boft : OutputRotation
{
    /// <param name="site">Where it hangs.</param>
    /// <param name="numbers">Rank, form and dropouts; <see cref="Factorization"/> must allow the rank.</param>
    public Boft(AdapterSite site, AdapterNumbers numbers) : this(site, numbers, Factorization(site.Layer.Shape.Out, numbers.Rank)
        ?? throw new ArgumentException($"{site.Layer.Key} has {site.Layer.Shape.Out} outputs, which no block up to {numbers.Rank} divides into a power of two."))
    { }

    private Boft(AdapterSite site, AdapterNumbers numbers, (long Size, long Count) split)
        : base(site, numbers, [BitOperations.Log2((ulong)split.Count) + 1, split.Count, split.Size, split.Size]) { }

    /// <inheritdoc/>
    public override AdapterFamily Family => AdapterFamilies.Boft;

    /// <summary>Largest even block up to <paramref name="most"/> (−1: any) that splits a side into a power of two, and that power; null where there is none.</summary>
    public static (long Size, long Count)? Factorization(long side, long most)
    {
        for (var size = Math.Min(most > 0 ? most : side, side) / 2 * 2; size >= 2; size -= 2)
            if (side % size == 0 && BitOperations.IsPow2(side / size)) return (size, side / size);
        return null;
    }

    private protected override Tensor Turn(Tensor rows, Tensor matrices)
    {
        using var scope = NewDisposeScope();
        var (batch, count, size) = (rows.shape[0], matrices.shape[1], matrices.shape[2]);
        for (var i = 0L; i < matrices.shape[0]; i++)
        {
            // Stage i mixes rows 2^i·b/2 apart: they are brought together, turned, and put back.
            var half = size / 2 << (int)i;
            var together = rows.reshape(batch, -1, 2, half, rows.shape[2]).transpose(2, 3).reshape(batch, count, size, -1);
            rows = matrices[i].matmul(together).reshape(batch, -1, half, 2, rows.shape[2]).transpose(2, 3).reshape(rows.shape);
        }
        return rows.MoveToOuterDisposeScope();
    }

    internal static Adapter? Read(AdapterSite site, AdapterParts parts) =>
        !parts.Has(BlocksName) || parts.ShapeOf(BlocksName) is not [_, var count, var size, _] || site.Layer.Shape.IsNorm
            ? null : DiagOft.Checked(site, parts, count, size, numbers => new Boft(site, numbers, (size, count)));
}

public static partial class AdapterFamilies
{
    /// <summary>LyCORIS' BOFT.</summary>
    public static AdapterFamily Boft { get; } = new(
        "boft", "All output rows turned by a butterfly of small rotations (LyCORIS)", new("https://arxiv.org/abs/2311.06243"),
        [OutputRotation.BlocksName, OutputRotation.RescaleName], (site, numbers) => new Boft(site, numbers), Networks.Boft.Read)
    {
        Origin = AdapterOrigin.Lycoris,
        Check = (site, numbers) => Networks.Boft.Factorization(site.Layer.Shape.Out, numbers.Rank) is not null ? null
            : new("rank", $"is {numbers.Rank}, and no even block up to it divides the {site.Layer.Shape.Out} outputs of {site.Layer.Key} into a power of two.",
                "Use 10 to 19 (blocks of 10), 20, 40, … for SD 1.x."),
        Advice = "Several times slower than diag-oft for little more; rank 10 at least on SD 1.x.",
    };
}
