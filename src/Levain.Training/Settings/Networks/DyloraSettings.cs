using Levain.Core;

namespace Levain.Training.Settings;

/// <summary>The <c>[network.dylora]</c> table: how the families <c>dylora</c> and <c>kohya_dylora</c> draw ranks (https://arxiv.org/abs/2210.07558).</summary>
public sealed record DyloraSettings
{
    /// <summary>Ranks that are trained together; divides the rank. Null: 4 for dylora as in LyCORIS' block_size, 1 for kohya_dylora as in kohya's unit.</summary>
    public int? Block { get; init; }

    /// <summary>The table's keys.</summary>
    public static DyloraSettings Map(DyloraSettings dylora, TomlMap map) => dylora with { Block = map.OptionalWhole("block", dylora.Block) };

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    public void Check(Problems problems, int rank, int block) =>
        problems.Require(block >= 1 && rank % block == 0, "block", $"is {block}, which does not divide the rank {rank}.", "Use a divisor of network.rank, such as 1 or 4.");
}
