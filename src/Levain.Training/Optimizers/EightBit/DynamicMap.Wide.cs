using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Levain.Training.EightBit;

/// <summary>
/// Sixteen numbers at a time. Tables lie in registers, from which AVX-512 picks 32 entries by one instruction: several times as fast as fetching each
/// entry from memory. The same codes as <see cref="Nearest"/> gives.
/// </summary>
internal sealed unsafe partial class DynamicMap
{
    private const int Lanes = 16, MantissaBits = 23, ExponentOf1 = 127;

    // Entries of one decade lie evenly: entry i of n is nearest to numbers about (i to i + 1)·0.9/n above a tenth of the decade's end.
    private readonly struct Decades16
    {
        public required Vector512<float> Slope { get; init; }           // by decade: entries for each 1
        public required Vector512<float> Offset { get; init; }          // by decade: so that slope·x + offset is half an entry behind
        public required float[] Bound { get; init; }                    // by exponent, 32 of them: where a decade begins within it, else infinity
        public required int[] Decade { get; init; }                     // by exponent: the decade at its beginning
        public required float[] Midpoints { get; init; }                // 128 or 256 of them
    }

    private const int Exponents = 32, LowestExponent = ExponentOf1 + 1 - Exponents;

    private static bool IsWide => Avx512F.IsSupported;

    private static Decades16 Prepare(bool signed, float[] midpoints)
    {
        var (slope, offset) = (new float[Lanes], new float[Lanes]);
        var first = 1;
        for (var decade = 0; decade < Decades; decade++)
        {
            var count = 1 << decade + (signed ? 0 : 1);
            slope[decade] = (float)(count / 0.9 * Math.Pow(10, Decades - 1 - decade));
            offset[decade] = (float)(first - 0.5 - count * 0.1 / 0.9);
            first += count;
        }
        var bounds = Enumerable.Range(1, Decades - 1).Select(decade => (float)Math.Pow(10, decade - Decades)).ToArray();
        var edges = Enumerable.Range(LowestExponent, Exponents + 1).Select(exponent => BitConverter.Int32BitsToSingle(exponent << MantissaBits)).ToArray();
        return new()
        {
            Slope = Vector512.Create(slope),
            Offset = Vector512.Create(offset),
            Bound = [.. Enumerable.Range(0, Exponents).Select(i => bounds.Where(bound => bound > edges[i] && bound < edges[i + 1]).DefaultIfEmpty(float.PositiveInfinity).First())],
            Decade = [.. Enumerable.Range(0, Exponents).Select(i => bounds.Count(bound => bound <= edges[i]))],
            Midpoints = [.. midpoints, .. Enumerable.Repeat(float.PositiveInfinity, (signed ? 128 : 256) - Math.Min(midpoints.Length, signed ? 128 : 256))],
        };
    }

    private int DecodeBySixteen(ReadOnlySpan<byte> codes, float largest, Span<float> numbers)
    {
        var i = 0;
        fixed (float* table = entries, to = numbers)
        fixed (byte* from = codes)
            for (; i <= codes.Length - Lanes; i += Lanes)
                (Of256(table, Avx512F.ConvertToVector512Int32(Vector128.Load(from + i))) * largest).Store(to + i);
        return i;
    }

    private int EncodeBySixteen(ReadOnlySpan<float> numbers, float largest, Span<byte> codes, bool keepSign)
    {
        var i = 0;
        var (middle, divisor, all) = (Vector512.Create(zero), Vector512.Create(largest), wide.Midpoints.Length > 128);
        fixed (float* from = numbers, between = wide.Midpoints, bounds = wide.Bound)
        fixed (int* decades = wide.Decade)
        fixed (byte* to = codes)
            for (; i <= numbers.Length - Lanes; i += Lanes)
            {
                var x = Vector512.Load(from + i) / divisor;
                var size = Vector512.Abs(x);
                var exponent = Vector512.Max((size.AsInt32() >>> MantissaBits) - Vector512.Create(LowestExponent), Vector512<int>.Zero);
                var decade = Avx512F.PermuteVar16x32x2(Vector512.Load(decades), exponent, Vector512.Load(decades + Lanes))
                    - Vector512.GreaterThanOrEqual(size, Of32(bounds, exponent)).AsInt32();
                var at = Vector512.FusedMultiplyAdd(size, Avx512F.PermuteVar16x32(wide.Slope, decade), Avx512F.PermuteVar16x32(wide.Offset, decade));
                var count = Avx512F.ConvertToVector512Int32WithTruncation(at);      // of midpoints surely below
                var midpoint = all ? Of256(between, count) : Of128(between, count);
                var below = Vector512.LessThan(x, Vector512<float>.Zero);
                count -= (Vector512.GreaterThan(size, midpoint) | (Vector512.Equals(size, midpoint) & below)).AsInt32();
                var code = Vector512.ConditionalSelect(below.AsInt32(), Vector512.Max(middle - count, Vector512<int>.Zero), middle + count);
                if (keepSign) code += Vector512.Equals(code, middle) & (x.AsInt32() >> 31);
                Avx512F.ConvertToVector128Byte(code).Store(to + i);
            }
        return i;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Of32(float* table, Vector512<int> index) =>
        Avx512F.PermuteVar16x32x2(Vector512.Load(table), index, Vector512.Load(table + Lanes));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Of128(float* table, Vector512<int> index)
    {
        var (bit5, bit6) = (Bit(index, 5), Bit(index, 6));
        var low = Vector512.ConditionalSelect(bit5, Of32(table + 32, index), Of32(table, index));
        var high = Vector512.ConditionalSelect(bit5, Of32(table + 96, index), Of32(table + 64, index));
        return Vector512.ConditionalSelect(bit6, high, low);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Of256(float* table, Vector512<int> index) =>
        Vector512.ConditionalSelect(Bit(index, 7), Of128(table + 128, index), Of128(table, index));

    // All ones where the bit is set.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Bit(Vector512<int> index, int bit) => (index << (31 - bit) >> 31).AsSingle();
}
