using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Levain.Models;

/// <summary>Short rows of numbers: scaled, widened, rounded.</summary>
internal static unsafe class Numbers
{
    private const uint RoundHalf = 0x7FFF;

    /// <summary>to = from·factor.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Scale(float* from, float* to, int count, float factor)
    {
        var i = 0;
        for (; i <= count - Vector512<float>.Count; i += Vector512<float>.Count) (Vector512.Load(from + i) * factor).Store(to + i);
        for (; i <= count - Vector128<float>.Count; i += Vector128<float>.Count) (Vector128.Load(from + i) * factor).Store(to + i);
        for (; i < count; i++) to[i] = from[i] * factor;
    }

    /// <summary>to += from.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Add(float* from, float* to, int count)
    {
        var i = 0;
        for (; i <= count - Vector512<float>.Count; i += Vector512<float>.Count) (Vector512.Load(to + i) + Vector512.Load(from + i)).Store(to + i);
        for (; i <= count - Vector128<float>.Count; i += Vector128<float>.Count) (Vector128.Load(to + i) + Vector128.Load(from + i)).Store(to + i);
        for (; i < count; i++) to[i] += from[i];
    }

    /// <summary>Σ a·b.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Dot(float* a, float* b, int count)
    {
        var sums = Vector512<float>.Zero;
        var i = 0;
        for (; i <= count - Vector512<float>.Count; i += Vector512<float>.Count) sums = Vector512.FusedMultiplyAdd(Vector512.Load(a + i), Vector512.Load(b + i), sums);
        var sum = Vector512.Sum(sums);
        for (; i < count; i++) sum += a[i] * b[i];
        return sum;
    }

    /// <summary>to = from·factor, in fp32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void FromBf16(ushort* from, float* to, int count, float factor)
    {
        var i = 0;
        for (; i <= count - Vector512<float>.Count; i += Vector512<float>.Count) (Widened(from + i) * factor).Store(to + i);
        for (; i < count; i++) to[i] = BitConverter.UInt32BitsToSingle((uint)from[i] << Bf16Product.Shift) * factor;
    }

    /// <summary>to = from·factor, rounded to the nearest, ties to even.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ToBf16(float* from, ushort* to, int count, float factor)
    {
        var i = 0;
        for (; i <= count - Vector512<float>.Count; i += Vector512<float>.Count) Rounded(Vector512.Load(from + i) * factor).Store(to + i);
        for (; i < count; i++)
        {
            var value = from[i] * factor;
            var bits = BitConverter.SingleToUInt32Bits(value);
            to[i] = (ushort)(float.IsNaN(value) ? (bits >> Bf16Product.Shift) | 1 : (bits + RoundHalf + ((bits >> Bf16Product.Shift) & 1)) >> Bf16Product.Shift);
        }
    }

    /// <summary>Sixteen numbers in fp32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Widened(ushort* from)
    {
        var (low, high) = Vector256.Widen(Vector256.Load(from));
        return (Vector512.Create(low, high) << Bf16Product.Shift).AsSingle();
    }

    /// <summary>Sixteen numbers in bf16, rounded to the nearest, ties to even.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<ushort> Rounded(Vector512<float> value)
    {
        var bits = value.AsUInt32();
        var rounded = (bits + Vector512.Create(RoundHalf) + ((bits >> Bf16Product.Shift) & Vector512<uint>.One)) >> Bf16Product.Shift;
        var kept = Vector512.ConditionalSelect(Vector512.Equals(value, value).AsUInt32(), rounded, (bits >> Bf16Product.Shift) | Vector512<uint>.One);      // NaN stays NaN
        return Vector256.Narrow(kept.GetLower(), kept.GetUpper());
    }
}
