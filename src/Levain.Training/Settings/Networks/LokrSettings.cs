using Levain.Core;

namespace Levain.Training.Settings;

/// <summary>The <c>[network.lokr]</c> table: how the family <c>lokr</c> splits a weight (https://arxiv.org/abs/2212.10650, LyCORIS).</summary>
public sealed record LokrSettings
{
    /// <summary>
    /// Size of the smaller Kronecker factor: −1 for the most square split and the smallest files, else 1 or more; one that does not divide a layer's
    /// width is rounded down to a divisor. Default −1. 4 to 8 with a large rank comes near a LoRA; 2 makes files larger than a LoRA's.
    /// </summary>
    public int Factor { get; init; } = -1;

    /// <summary>The smaller factor is a low-rank product too, where the rank is less than half its side. Default false.</summary>
    public bool DecomposeBoth { get; init; }

    /// <summary>No factor is a low-rank product, whatever the rank ("full dimension"). Default false.</summary>
    public bool FullMatrix { get; init; }

    /// <summary>The output's two sides are swapped, so that the larger one is in the smaller factor. Default false.</summary>
    public bool Unbalanced { get; init; }

    /// <summary>The table's keys.</summary>
    public static LokrSettings Map(LokrSettings lokr, TomlMap map) => lokr with
    {
        Factor = map.Whole("factor", lokr.Factor),
        DecomposeBoth = map.Flag("decompose_both", lokr.DecomposeBoth),
        FullMatrix = map.Flag("full_matrix", lokr.FullMatrix),
        Unbalanced = map.Flag("unbalanced", lokr.Unbalanced),
    };

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    /// <param name="kohya">Whether LyCORIS' other numbers are let pass: 0 splits nothing, and below −1 is −1.</param>
    public void Check(Problems problems, bool kohya = false) =>
        problems.Require(kohya || Factor is -1 or >= 1, "factor", $"is {Factor}.", "Use -1 for the most square split, or 1 and more; 4 to 8 comes near a LoRA.");
}
