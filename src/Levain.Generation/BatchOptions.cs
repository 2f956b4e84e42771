using Levain.Core;

namespace Levain.Generation;

/// <summary>How many pictures are drawn from one request: each has the seed after the one before, or the variation seed where a variation is asked for.</summary>
public sealed record BatchOptions
{
    private const int Most = 10000, MostAtOnce = 64;

    /// <summary>Batches drawn one after another. Default 1.</summary>
    public int Count { get; init; } = 1;

    /// <summary>Pictures drawn at once: faster on a graphics card, more memory. The pictures are the same. Default 1.</summary>
    public int Size { get; init; } = 1;

    /// <summary>Pictures in all.</summary>
    public int Pictures => Count * Size;

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    internal void Check(Problems problems)
    {
        problems.Require(Count is >= 1 and <= Most, "batch_count", $"is {Count}.", $"Use 1 to {Most}.");
        problems.Require(Size is >= 1 and <= MostAtOnce, "batch_size", $"is {Size}.", $"Use 1 to {MostAtOnce}; more pictures come from a batch count.");
    }
}
