using System.Numerics;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using static TorchSharp.torch;

namespace Levain.Training.EightBit;

/// <summary>
/// 256 numbers between −1 (or 0) and 1 that lie closer the nearer they are to 0: each power of ten down to 1e-7 has half as many as the one above it.
/// A byte names one of them.
/// </summary>
/// <remarks>Dettmers et al. 2022, https://arxiv.org/abs/2110.02861, appendix; numbers and nearest-entry rounding as bitsandbytes' CUDA kernels have them.</remarks>
internal sealed unsafe partial class DynamicMap
{
    private const int Decades = 7;

    // Buckets by exponent and the first seven bits of the mantissa: narrow enough to hold one midpoint at most.
    private const int BucketShift = 23 - 7;

    private readonly float[] entries;
    private readonly float[] midpoints;         // between 0 and the first entry above, and so on
    private readonly int[] bucketCounts;        // midpoints below a bucket's first number
    private readonly int firstBucket;
    private readonly int zero;
    private readonly Decades16 wide;

    private DynamicMap(bool signed)
    {
        using var scope = NewDisposeScope();
        var list = new List<float> { 0, 1 };
        for (var decade = 0; decade < Decades; decade++)
        {
            // The middles of equal pieces of [0.1, 1], times a power of ten; in fp32 throughout.
            var edges = linspace(0.1, 1, (1 << decade + (signed ? 0 : 1)) + 1, ScalarType.Float32);
            var middles = (edges.narrow(0, 0, edges.shape[0] - 1) + edges.narrow(0, 1, edges.shape[0] - 1)) / 2 * Math.Pow(10, decade - (Decades - 1));
            foreach (var middle in middles.data<float>().ToArray())
            {
                list.Add(middle);
                if (signed) list.Add(-middle);
            }
        }
        entries = [.. list.Order()];
        zero = Array.IndexOf(entries, 0f);
        var above = entries[zero..];
        midpoints = [.. above.Zip(above.Skip(1), (low, high) => (low + high) * 0.5f), float.PositiveInfinity];
        firstBucket = Bucket(midpoints[0]);
        bucketCounts = [.. Enumerable.Range(firstBucket, Bucket(1) + 1 - firstBucket)
            .Select(bucket => midpoints.Count(midpoint => midpoint < BitConverter.Int32BitsToSingle(bucket << BucketShift)))];
        wide = Prepare(signed, midpoints);
    }

    /// <summary>For first moments.</summary>
    public static DynamicMap Signed { get; } = new(signed: true);

    /// <summary>For second moments, which are never negative.</summary>
    public static DynamicMap Unsigned { get; } = new(signed: false);

    /// <summary>The numbers, in order.</summary>
    public ReadOnlySpan<float> Entries => entries;

    /// <summary>The code of the entry nearest to a number of −1 to 1.</summary>
    public byte Nearest(float x)
    {
        var size = Math.Abs(x);
        var bucket = Math.Clamp(Bucket(size) - firstBucket, 0, bucketCounts.Length - 1);
        var count = bucketCounts[bucket];
        if (x >= 0 ? size > midpoints[count] : size >= midpoints[count]) count++;
        return (byte)(x >= 0 ? zero + count : Math.Max(0, zero - count));       // there is no −1
    }

    /// <summary>Decodes a block.</summary>
    public void Decode(ReadOnlySpan<byte> codes, float largest, Span<float> numbers)
    {
        var i = IsWide ? DecodeBySixteen(codes, largest, numbers) : 0;
        if (Avx2.IsSupported)
            fixed (float* table = entries, to = numbers)
            fixed (byte* from = codes)
                for (; i <= codes.Length - Vector256<float>.Count; i += Vector256<float>.Count)
                    (Avx2.GatherVector256(table, Avx2.ConvertToVector256Int32(from + i), sizeof(float)) * largest).Store(to + i);
        for (; i < codes.Length; i++) numbers[i] = entries[codes[i]] * largest;
    }

    /// <summary>Encodes a block by its largest number.</summary>
    /// <param name="numbers">The numbers.</param>
    /// <param name="codes">Their codes.</param>
    /// <param name="keepSign">Whether what rounds to 0 from below gets the entry below 0, so that no sign is lost.</param>
    /// <returns>The largest absolute value.</returns>
    public float Encode(ReadOnlySpan<float> numbers, Span<byte> codes, bool keepSign)
    {
        var largest = Largest(numbers);
        if (largest == 0)
        {
            codes.Fill((byte)zero);
            return 0;
        }
        var i = IsWide ? EncodeBySixteen(numbers, largest, codes, keepSign) : Avx2.IsSupported ? EncodeByEight(numbers, largest, codes, keepSign) : 0;
        for (; i < numbers.Length; i++)
        {
            var code = Nearest(numbers[i] / largest);
            codes[i] = keepSign && code == zero && float.IsNegative(numbers[i]) ? (byte)(zero - 1) : code;
        }
        return largest;
    }

    // As Nearest and the loop above, eight numbers at a time; how many were encoded.
    private int EncodeByEight(ReadOnlySpan<float> numbers, float largest, Span<byte> codes, bool keepSign)
    {
        var i = 0;
        var (middle, last, first) = (Vector256.Create(zero), Vector256.Create(bucketCounts.Length - 1), Vector256.Create(firstBucket));
        fixed (float* from = numbers, between = midpoints)
        fixed (int* counts = bucketCounts)
        fixed (byte* to = codes)
            for (; i <= numbers.Length - Vector256<float>.Count; i += Vector256<float>.Count)
            {
                var x = Vector256.Load(from + i) / Vector256.Create(largest);
                var size = Vector256.Abs(x);
                var bucket = Vector256.Min(Vector256.Max((size.AsInt32() >>> BucketShift) - first, Vector256<int>.Zero), last);
                var count = Avx2.GatherVector256(counts, bucket, sizeof(int));
                var midpoint = Avx2.GatherVector256(between, count, sizeof(float));
                var below = Vector256.LessThan(x, Vector256<float>.Zero);
                var beyond = Vector256.ConditionalSelect(below, Vector256.GreaterThanOrEqual(size, midpoint), Vector256.GreaterThan(size, midpoint));
                count -= beyond.AsInt32();
                var code = Vector256.ConditionalSelect(below.AsInt32(), Vector256.Max(middle - count, Vector256<int>.Zero), middle + count);
                if (keepSign) code += Vector256.Equals(code, middle) & (x.AsInt32() >> 31);
                var halves = Vector128.Narrow(code.GetLower(), code.GetUpper()).AsUInt16();
                *(ulong*)(to + i) = Vector128.Narrow(halves, halves).AsUInt64().ToScalar();
            }
        return i;
    }

    private static float Largest(ReadOnlySpan<float> numbers)
    {
        var (wide, i) = (Vector<float>.Zero, 0);
        for (; i <= numbers.Length - Vector<float>.Count; i += Vector<float>.Count) wide = Vector.Max(wide, Vector.Abs(Vector.Create(numbers[i..])));
        var largest = 0f;
        for (var lane = 0; lane < Vector<float>.Count; lane++) largest = Math.Max(largest, wide[lane]);
        for (; i < numbers.Length; i++) largest = Math.Max(largest, Math.Abs(numbers[i]));
        return largest;
    }

    /// <summary>The entries on a device.</summary>
    public Tensor ToTensor(Device device) => tensor(entries, device: device);

    /// <summary>Encodes with tensor operations, for numbers already divided by their block's largest.</summary>
    public Tensor Encode(Tensor numbers, bool keepSign)
    {
        using var scope = NewDisposeScope();
        var between = tensor(entries.Zip(entries.Skip(1), (low, high) => (low + high) * 0.5f).ToArray(), device: numbers.device);
        var codes = bucketize(numbers, between);
        if (keepSign) codes = codes - ((codes == zero) & numbers.signbit()).to(codes.dtype);
        return codes.to(ScalarType.Byte).MoveToOuterDisposeScope();
    }

    private static int Bucket(float size) => BitConverter.SingleToInt32Bits(size) >> BucketShift;
}
