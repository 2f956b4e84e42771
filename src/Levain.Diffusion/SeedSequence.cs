namespace Levain.Diffusion;

/// <summary>Turns a seed and a path into seeds that have nothing to do with each other, as numpy's <c>SeedSequence</c> does.</summary>
/// <remarks>O'Neill 2015, https://www.pcg-random.org/posts/developing-a-seed_seq-alternative.html; numpy's constants.</remarks>
public sealed class SeedSequence
{
    private const uint InitA = 0x43b0d7e5, MultA = 0x931e8875, InitB = 0x8b51f9dd, MultB = 0x58f38ded, MixLeft = 0xca01f9dd, MixRight = 0x4973f715;
    private const int Shift = 16;

    private readonly uint[] pool;

    /// <param name="entropy">The seed.</param>
    /// <param name="path">Which child of a child; empty for the root.</param>
    /// <param name="poolSize">Words that are mixed; numpy's default is 4, torchsde's tree has 24.</param>
    public SeedSequence(ulong entropy, IReadOnlyList<ulong> path, int poolSize)
    {
        List<uint> words = [.. Words(entropy)];
        if (path.Count > 0) words.AddRange(Enumerable.Repeat(0u, Math.Max(poolSize - words.Count, 0)));
        words.AddRange(path.SelectMany(Words));

        pool = new uint[poolSize];
        var constant = InitA;
        for (var i = 0; i < poolSize; i++) pool[i] = Hash(i < words.Count ? words[i] : 0);
        for (var source = 0; source < poolSize; source++)
            for (var target = 0; target < poolSize; target++)
                if (source != target) pool[target] = Mix(pool[target], Hash(pool[source]));
        for (var source = poolSize; source < words.Count; source++)
            for (var target = 0; target < poolSize; target++) pool[target] = Mix(pool[target], Hash(words[source]));

        uint Hash(uint value)
        {
            value ^= constant;
            constant *= MultA;
            value *= constant;
            return value ^ value >> Shift;
        }
    }

    /// <summary>The first <paramref name="count"/> words of its state.</summary>
    public uint[] State(int count)
    {
        var constant = InitB;
        var words = new uint[count];
        for (var i = 0; i < count; i++)
        {
            var value = pool[i % pool.Length] ^ constant;
            constant *= MultB;
            value *= constant;
            words[i] = value ^ value >> Shift;
        }
        return words;
    }

    private static uint Mix(uint x, uint y)
    {
        var mixed = MixLeft * x - MixRight * y;
        return mixed ^ mixed >> Shift;
    }

    private static IEnumerable<uint> Words(ulong number) =>
        number > uint.MaxValue ? [(uint)number, (uint)(number >> 32)] : [(uint)number];
}
