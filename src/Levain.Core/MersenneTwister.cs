using System.Numerics;

namespace Levain.Core;

/// <summary>MT19937: 32-bit outputs, 624 words of state. Python's <c>random</c> and libtorch's CPU generator both draw from it.</summary>
/// <remarks>Matsumoto and Nishimura 1998, "Mersenne Twister", ACM TOMACS 8(1).</remarks>
public sealed class MersenneTwister
{
    /// <summary>Words of state; one twist produces as many outputs.</summary>
    public const int Words = 624;

    internal const int Shift = 397;
    internal const uint Matrix = 0x9908b0df;
    private const uint UpperMask = 0x80000000, LowerMask = 0x7fffffff;

    private const long WorthJump = 5_000;       // a jump takes as long as that many twists

    private readonly uint[] state = new uint[Words];
    private int index;

    /// <summary>Seeds with <paramref name="seed"/> as the reference's <c>init_genrand</c> does (libtorch's <c>manual_seed</c>, low 32 bits).</summary>
    public MersenneTwister(uint seed)
    {
        state[0] = seed;
        for (uint i = 1; i < Words; i++) state[i] = 1812433253 * (state[i - 1] ^ state[i - 1] >> 30) + i;
        index = Words;
    }

    /// <summary>Seeds with an array of words as the reference's <c>init_by_array</c> does (Python's <c>random.seed</c>).</summary>
    public MersenneTwister(ReadOnlySpan<uint> key) : this(19650218)
    {
        int i = 1, j = 0;
        for (var k = Math.Max(Words, key.Length); k > 0; k--)
        {
            state[i] = (state[i] ^ (state[i - 1] ^ state[i - 1] >> 30) * 1664525) + key[j] + (uint)j;
            if (++i >= Words) (state[0], i) = (state[Words - 1], 1);
            if (++j >= key.Length) j = 0;
        }
        for (var k = Words - 1; k > 0; k--)
        {
            state[i] = (state[i] ^ (state[i - 1] ^ state[i - 1] >> 30) * 1566083941) - (uint)i;
            if (++i >= Words) (state[0], i) = (state[Words - 1], 1);
        }
        state[0] = 0x80000000;
        index = Words;
    }

    /// <summary>Restores a generator from <see cref="State"/> and <see cref="Index"/>.</summary>
    /// <exception cref="ArgumentException">There are not 624 words, or the index is outside 0..624.</exception>
    public MersenneTwister(ReadOnlySpan<uint> words, int index)
    {
        if (words.Length != Words || index is < 0 or > Words) throw new ArgumentException($"A state has {Words} words and an index of 0 to {Words}.");
        words.CopyTo(state);
        this.index = index;
    }

    /// <summary>The 624 words of state.</summary>
    public ReadOnlySpan<uint> State => state;

    /// <summary>Outputs taken from the current state; 624 when the next output begins a new twist.</summary>
    public int Index => index;

    /// <summary>The next 32 bits.</summary>
    public uint Next()
    {
        if (index >= Words) Twist();
        var y = state[index++];
        y ^= y >> 11;
        y ^= y << 7 & 0x9d2c5680;
        y ^= y << 15 & 0xefc60000;
        return y ^ y >> 18;
    }

    /// <summary>Passes over <paramref name="count"/> outputs without computing them, however many they are.</summary>
    public void Skip(long count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        var left = Words - index;
        if (count <= left)
        {
            index += (int)count;
            return;
        }
        count -= left;
        var between = (count - 1) / Words;          // twists none of whose outputs is wanted
        if (between >= WorthJump) MersenneJump.Advance(state, between * Words);
        else for (var i = 0L; i < between; i++) Twist();
        Twist();
        index = (int)(count - between * Words);
    }

    private void Twist()
    {
        // Both runs read words that are at least one vector ahead of the ones they write, so whole vectors may be computed at once.
        TwistRun(0, Words - Shift, Shift);
        TwistRun(Words - Shift, Words - 1, Shift - Words);
        state[Words - 1] = state[Shift - 1] ^ Mix(state[Words - 1], state[0]);
        index = 0;
    }

    private void TwistRun(int from, int to, int offset)
    {
        var words = state.AsSpan();
        var i = from;
        var (upper, lower, one, matrix) = (new Vector<uint>(UpperMask), new Vector<uint>(LowerMask), Vector<uint>.One, new Vector<uint>(Matrix));
        for (; i + Vector<uint>.Count <= to; i += Vector<uint>.Count)
        {
            var y = new Vector<uint>(words[i..]) & upper | new Vector<uint>(words[(i + 1)..]) & lower;
            var odd = Vector.Equals(y & one, one) & matrix;
            (new Vector<uint>(words[(i + offset)..]) ^ y >> 1 ^ odd).CopyTo(words[i..]);
        }
        for (; i < to; i++) words[i] = words[i + offset] ^ Mix(words[i], words[i + 1]);
    }

    internal static uint Mix(uint high, uint low)
    {
        var y = high & UpperMask | low & LowerMask;
        return y >> 1 ^ ((y & 1) == 0 ? 0 : Matrix);
    }
}
