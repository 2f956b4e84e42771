using Levain.Core;

namespace Levain.Data;

/// <summary>The order in which torch's shuffling DataLoader visits its items.</summary>
/// <remarks>PyTorch: <c>torch/utils/data</c> (two seeds an epoch), <c>random_()</c> of int64 and <c>randperm</c> of ATen's CPU generator.</remarks>
public static class LoaderOrder
{
    /// <summary>Draws an epoch's order: the seed for workers, which is not used here, then the seed of the permutation; four outputs in all.</summary>
    /// <param name="next">32-bit outputs of the run's torch generator.</param>
    /// <param name="count">Number of items.</param>
    public static long[] Draw(Func<uint> next, int count)
    {
        _ = DrawSeed(next);
        return Permutation(DrawSeed(next), count);
    }

    /// <summary>An int64 as <c>random_()</c> draws it: 0 to 2⁶³−1, the high word first.</summary>
    public static long DrawSeed(Func<uint> next)
    {
        ulong high = next();
        return (long)((high << 32 | next()) & long.MaxValue);
    }

    /// <summary><c>torch.randperm(count)</c> of a generator of its own, seeded with <paramref name="seed"/>.</summary>
    public static long[] Permutation(long seed, int count)
    {
        var twister = new MersenneTwister((uint)seed);
        var order = new long[count];
        for (var i = 0; i < count; i++) order[i] = i;
        for (var i = 0; i < count - 1; i++)
        {
            var other = i + (int)(twister.Next() % (uint)(count - i));
            (order[i], order[other]) = (order[other], order[i]);
        }
        return order;
    }
}
