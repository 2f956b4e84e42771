using System.Numerics;

namespace Levain.Core;

/// <summary>Python's <c>random.Random</c>: the same numbers from the same seed, for the calls that kohya makes.</summary>
/// <remarks>CPython 3.11 <c>Modules/_randommodule.c</c> and <c>Lib/random.py</c>.</remarks>
public sealed class PythonRandom
{
    private MersenneTwister twister;

    /// <summary>Seeds as <c>random.seed(seed)</c>: the absolute value, cut in 32-bit words.</summary>
    public PythonRandom(BigInteger seed) => twister = new(KeyOf(seed));


    /// <summary>Continues from a saved generator.</summary>
    public PythonRandom(MersenneTwister twister) => this.twister = twister;

    /// <summary>Goes on from a saved generator; whoever holds this one goes on with it.</summary>
    public void Restore(MersenneTwister saved) => twister = saved;

    /// <summary>The generator underneath, for snapshots.</summary>
    public MersenneTwister Twister => twister;

    /// <summary><c>random.seed(seed)</c>: starts again.</summary>
    public void Seed(BigInteger seed) => twister = new(KeyOf(seed));

    /// <summary><c>random.random()</c>: 53 random bits in [0, 1); two outputs.</summary>
    public double Random()
    {
        var (high, low) = (twister.Next() >> 5, twister.Next() >> 6);
        return (high * 67108864.0 + low) * (1.0 / 9007199254740992.0);
    }

    /// <summary><c>random.getrandbits(bits)</c> for 1 to 64 bits; one output for each 32, the low word first.</summary>
    public ulong GetRandBits(int bits)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bits, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bits, 64);
        if (bits <= 32) return twister.Next() >> 32 - bits;
        ulong low = twister.Next();
        return low | (ulong)(twister.Next() >> 64 - bits) << 32;
    }

    /// <summary><c>random.randrange(n)</c>: 0 to n−1, by rejection. Drawing from a single value still consumes outputs, as in Python.</summary>
    public long Below(long n)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(n, 1);
        var bits = 64 - BitOperations.LeadingZeroCount((ulong)n);
        ulong value;
        do value = GetRandBits(bits); while (value >= (ulong)n);
        return (long)value;
    }

    /// <summary><c>random.randint(low, high)</c>: both ends included.</summary>
    public long RandInt(long low, long high) => low + Below(high - low + 1);

    /// <summary><c>random.uniform(low, high)</c>.</summary>
    public double Uniform(double low, double high) => low + (high - low) * Random();

    /// <summary><c>random.choice(items)</c>.</summary>
    public T Choice<T>(IReadOnlyList<T> items) => items[(int)Below(items.Count)];

    /// <summary><c>random.shuffle(items)</c>, in place.</summary>
    public void Shuffle<T>(IList<T> items)
    {
        for (var i = items.Count - 1; i > 0; i--)
        {
            var j = (int)Below(i + 1);
            (items[i], items[j]) = (items[j], items[i]);
        }
    }

    private static uint[] KeyOf(BigInteger seed)
    {
        var bytes = BigInteger.Abs(seed).ToByteArray(isUnsigned: true);
        var key = new uint[Math.Max(1, (bytes.Length + 3) / 4)];
        for (var i = 0; i < bytes.Length; i++) key[i / 4] |= (uint)bytes[i] << 8 * (i % 4);
        return key;
    }
}
