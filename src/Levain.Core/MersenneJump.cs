using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Levain.Core;

/// <summary>Moves a Mersenne twister's words far ahead without computing those between.</summary>
/// <remarks>
/// Haramoto, Matsumoto, Nishimura, Panneton and L'Ecuyer 2008, "Efficient Jump Ahead for F2-Linear Random Number Generators", INFORMS Journal on
/// Computing 20(3). A step is a linear map over bits, so n steps are a sum of fewer than 19937 of its powers: those of xⁿ modulo the map's
/// characteristic polynomial φ. Polynomials are bits, lowest power first.
/// </remarks>
internal static class MersenneJump
{
    private const int Words = MersenneTwister.Words, Middle = MersenneTwister.Shift, Degree = 19937, WordBits = 64;
    private const int TopWord = Degree / WordBits, TopBit = Degree % WordBits;
    private static readonly Lazy<int[]> lowerPowers = new(LowerPowers);

    /// <summary>The words <paramref name="steps"/> places further on. The lower 31 bits of the first are left over from before and belong to no output.</summary>
    /// <param name="state">624 words of which the first is the oldest.</param>
    /// <param name="steps">Single words, 0 or more.</param>
    public static void Advance(Span<uint> state, long steps)
    {
        var powers = PowersIn(Remainder(steps));
        Span<uint> sequence = new uint[Degree + Words];
        state.CopyTo(sequence);
        for (var i = Words; i < sequence.Length; i++) sequence[i] = sequence[i - Words + Middle] ^ MersenneTwister.Mix(sequence[i - Words], sequence[i - Words + 1]);
        Sum(sequence, powers, state);
    }

    private static void Sum(ReadOnlySpan<uint> sequence, ReadOnlySpan<int> powers, Span<uint> state)
    {
        var width = Vector128<uint>.Count;
        ref var first = ref MemoryMarshal.GetReference(sequence);
        for (var at = 0; at < Words; at += 4 * width)          // 624 = 39 · 16
        {
            Vector128<uint> a = default, b = default, c = default, d = default;
            foreach (var power in powers)
            {
                var place = (nuint)(power + at);
                a ^= Vector128.LoadUnsafe(ref first, place);
                b ^= Vector128.LoadUnsafe(ref first, place + (nuint)width);
                c ^= Vector128.LoadUnsafe(ref first, place + (nuint)(2 * width));
                d ^= Vector128.LoadUnsafe(ref first, place + (nuint)(3 * width));
            }
            a.CopyTo(state[at..]);
            b.CopyTo(state[(at + width)..]);
            c.CopyTo(state[(at + 2 * width)..]);
            d.CopyTo(state[(at + 3 * width)..]);
        }
    }

    // x^exponent modulo φ, by squaring.
    private static ulong[] Remainder(long exponent)
    {
        var value = new ulong[TopWord + 1];
        value[0] = 1;
        for (var bit = WordBits - 1 - long.LeadingZeroCount(exponent); bit >= 0; bit--)
        {
            value = Reduced(Square(value));
            if ((exponent >> (int)bit & 1) == 1) value = Reduced(TimesX(value));
        }
        return value;
    }

    private static ulong[] Square(ulong[] value)
    {
        var square = new ulong[2 * value.Length];
        for (var i = 0; i < value.Length; i++) (square[2 * i], square[2 * i + 1]) = (Spread((uint)value[i]), Spread((uint)(value[i] >> 32)));
        return square;
    }

    private static ulong[] TimesX(ulong[] value)
    {
        var product = new ulong[value.Length];
        for (var i = 0; i < value.Length; i++) product[i] = value[i] << 1 | (i > 0 ? value[i - 1] >> WordBits - 1 : 0);
        return product;
    }

    // A zero between any two bits.
    private static ulong Spread(uint bits)
    {
        ulong x = bits;
        x = (x | x << 16) & 0x0000ffff0000ffff;
        x = (x | x << 8) & 0x00ff00ff00ff00ff;
        x = (x | x << 4) & 0x0f0f0f0f0f0f0f0f;
        x = (x | x << 2) & 0x3333333333333333;
        return (x | x << 1) & 0x5555555555555555;
    }

    // φ's second power lies more than a word below its first, so a whole word is replaced at a time and never meets itself again.
    private static ulong[] Reduced(ulong[] value)
    {
        for (var i = value.Length - 1; i > TopWord; i--) Replace(value, value[i], i * WordBits - Degree, ref value[i]);
        var above = value[TopWord] >> TopBit << TopBit;
        foreach (var power in lowerPowers.Value) Add(value, above >> TopBit, power);
        value[TopWord] ^= above;
        return value[..(TopWord + 1)];
    }

    private static void Replace(ulong[] value, ulong word, int offset, ref ulong place)
    {
        place = 0;
        if (word == 0) return;
        foreach (var power in lowerPowers.Value) Add(value, word, power + offset);
    }

    private static void Add(ulong[] value, ulong word, int at)
    {
        var (i, shift) = (at / WordBits, at % WordBits);
        value[i] ^= word << shift;
        if (shift > 0) value[i + 1] ^= word >> WordBits - shift;
    }

    private static int[] PowersIn(ulong[] value) => [.. Enumerable.Range(0, Degree).Where(power => (value[power / WordBits] >> power % WordBits & 1) == 1)];

    // φ = P·Q³¹ + a₀·P·Q³⁰ + … + a₃₀·P + a₃₁ with P = x⁶²⁴ + x³⁹⁷, Q = x⁶²³ + x³⁹⁶ and a the bits of the matrix (Matsumoto and Nishimura 1998,
    // appendix A); 134 powers beside the highest.
    private static int[] LowerPowers()
    {
        const int Lower = 31;
        HashSet<int> sum = [0];
        for (var i = 0; i < Lower; i++) sum = Times(sum, Words - 1, Middle - 1, MersenneTwister.Matrix >> i & 1);
        sum = Times(sum, Words, Middle, MersenneTwister.Matrix >> Lower);
        sum.Remove(Degree);
        return [.. sum.Order()];
    }

    private static HashSet<int> Times(HashSet<int> sum, int high, int low, uint one)
    {
        HashSet<int> product = [.. sum.Select(power => power + high)];
        product.SymmetricExceptWith([.. sum.Select(power => power + low)]);
        if (one == 1) product.SymmetricExceptWith([0]);
        return product;
    }
}
