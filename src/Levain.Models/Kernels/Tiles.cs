using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Levain.Models;

/// <summary>
/// Products of small matrices whose results stay in the processor's registers: eight rows by one or two vectors of sixteen. They run at the
/// arithmetic units' full rate, so what is built of them is as fast as its way through the caches allows.
/// </summary>
public static unsafe class Tiles
{
    /// <summary>Elements of one vector.</summary>
    public const int Lanes = 16;

    /// <summary>Columns of a tile of two vectors.</summary>
    public const int Columns = 2 * Lanes;

    /// <summary>Rows of a tile.</summary>
    public const int Rows = 8;

    /// <summary>c[8, 16·vectors] = or += a[8, depth]·b[depth, 16·vectors].</summary>
    /// <param name="vectors">1 or 2.</param>
    /// <param name="aRow">From one row of a to the next.</param>
    /// <param name="aColumn">From one column of a to the next.</param>
    /// <param name="b">Rows of 16·vectors side by side.</param>
    /// <param name="c">As b.</param>
    /// <param name="add">Whether c's content is added to.</param>
    public static void Product(int vectors, int depth, float* a, nint aRow, nint aColumn, float* b, nint bRow, float* c, nint cRow, bool add)
    {
        if (vectors == 2) Product2(depth, a, aRow, aColumn, b, bRow, c, cRow, add);
        else Product1(depth, a, aRow, aColumn, b, bRow, c, cRow, add);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Product2(int depth, float* a, nint aRow, nint aColumn, float* b, nint bRow, float* c, nint cRow, bool add)
    {
        float* a1 = a + aRow, a2 = a1 + aRow, a3 = a2 + aRow, a4 = a3 + aRow, a5 = a4 + aRow, a6 = a5 + aRow, a7 = a6 + aRow;
        float* c1 = c + cRow, c2 = c1 + cRow, c3 = c2 + cRow, c4 = c3 + cRow, c5 = c4 + cRow, c6 = c5 + cRow, c7 = c6 + cRow;
        Vector512<float> s0x = default, s0y = default, s1x = default, s1y = default;
        Vector512<float> s2x = default, s2y = default, s3x = default, s3y = default;
        Vector512<float> s4x = default, s4y = default, s5x = default, s5y = default;
        Vector512<float> s6x = default, s6y = default, s7x = default, s7y = default;
        if (add)
        {
            (s0x, s0y, s1x, s1y) = (At(c, 0), At(c, 1), At(c1, 0), At(c1, 1));
            (s2x, s2y, s3x, s3y) = (At(c2, 0), At(c2, 1), At(c3, 0), At(c3, 1));
            (s4x, s4y, s5x, s5y) = (At(c4, 0), At(c4, 1), At(c5, 0), At(c5, 1));
            (s6x, s6y, s7x, s7y) = (At(c6, 0), At(c6, 1), At(c7, 0), At(c7, 1));
        }
        nint k = 0;
        for (var i = 0; i < depth; i++, k += aColumn, b += bRow)
        {
            Vector512<float> x = At(b, 0), y = At(b, 1);
            var s = Vector512.Create(a[k]);
            (s0x, s0y) = (Vector512.FusedMultiplyAdd(s, x, s0x), Vector512.FusedMultiplyAdd(s, y, s0y));
            s = Vector512.Create(a1[k]);
            (s1x, s1y) = (Vector512.FusedMultiplyAdd(s, x, s1x), Vector512.FusedMultiplyAdd(s, y, s1y));
            s = Vector512.Create(a2[k]);
            (s2x, s2y) = (Vector512.FusedMultiplyAdd(s, x, s2x), Vector512.FusedMultiplyAdd(s, y, s2y));
            s = Vector512.Create(a3[k]);
            (s3x, s3y) = (Vector512.FusedMultiplyAdd(s, x, s3x), Vector512.FusedMultiplyAdd(s, y, s3y));
            s = Vector512.Create(a4[k]);
            (s4x, s4y) = (Vector512.FusedMultiplyAdd(s, x, s4x), Vector512.FusedMultiplyAdd(s, y, s4y));
            s = Vector512.Create(a5[k]);
            (s5x, s5y) = (Vector512.FusedMultiplyAdd(s, x, s5x), Vector512.FusedMultiplyAdd(s, y, s5y));
            s = Vector512.Create(a6[k]);
            (s6x, s6y) = (Vector512.FusedMultiplyAdd(s, x, s6x), Vector512.FusedMultiplyAdd(s, y, s6y));
            s = Vector512.Create(a7[k]);
            (s7x, s7y) = (Vector512.FusedMultiplyAdd(s, x, s7x), Vector512.FusedMultiplyAdd(s, y, s7y));
        }
        Put(s0x, c, 0); Put(s0y, c, 1);
        Put(s1x, c1, 0); Put(s1y, c1, 1);
        Put(s2x, c2, 0); Put(s2y, c2, 1);
        Put(s3x, c3, 0); Put(s3y, c3, 1);
        Put(s4x, c4, 0); Put(s4y, c4, 1);
        Put(s5x, c5, 0); Put(s5y, c5, 1);
        Put(s6x, c6, 0); Put(s6y, c6, 1);
        Put(s7x, c7, 0); Put(s7y, c7, 1);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Product1(int depth, float* a, nint aRow, nint aColumn, float* b, nint bRow, float* c, nint cRow, bool add)
    {
        float* a1 = a + aRow, a2 = a1 + aRow, a3 = a2 + aRow, a4 = a3 + aRow, a5 = a4 + aRow, a6 = a5 + aRow, a7 = a6 + aRow;
        float* c1 = c + cRow, c2 = c1 + cRow, c3 = c2 + cRow, c4 = c3 + cRow, c5 = c4 + cRow, c6 = c5 + cRow, c7 = c6 + cRow;
        Vector512<float> s0x = default, s1x = default, s2x = default, s3x = default;
        Vector512<float> s4x = default, s5x = default, s6x = default, s7x = default;
        if (add)
        {
            (s0x, s1x) = (At(c, 0), At(c1, 0));
            (s2x, s3x) = (At(c2, 0), At(c3, 0));
            (s4x, s5x) = (At(c4, 0), At(c5, 0));
            (s6x, s7x) = (At(c6, 0), At(c7, 0));
        }
        nint k = 0;
        for (var i = 0; i < depth; i++, k += aColumn, b += bRow)
        {
            var x = At(b, 0);
            s0x = Vector512.FusedMultiplyAdd(Vector512.Create(a[k]), x, s0x);
            s1x = Vector512.FusedMultiplyAdd(Vector512.Create(a1[k]), x, s1x);
            s2x = Vector512.FusedMultiplyAdd(Vector512.Create(a2[k]), x, s2x);
            s3x = Vector512.FusedMultiplyAdd(Vector512.Create(a3[k]), x, s3x);
            s4x = Vector512.FusedMultiplyAdd(Vector512.Create(a4[k]), x, s4x);
            s5x = Vector512.FusedMultiplyAdd(Vector512.Create(a5[k]), x, s5x);
            s6x = Vector512.FusedMultiplyAdd(Vector512.Create(a6[k]), x, s6x);
            s7x = Vector512.FusedMultiplyAdd(Vector512.Create(a7[k]), x, s7x);
        }
        Put(s0x, c, 0);
        Put(s1x, c1, 0);
        Put(s2x, c2, 0);
        Put(s3x, c3, 0);
        Put(s4x, c4, 0);
        Put(s5x, c5, 0);
        Put(s6x, c6, 0);
        Put(s7x, c7, 0);
    }

    /// <summary>The next multiple.</summary>
    public static int RoundUp(int count, int multiple) => (count + multiple - 1) / multiple * multiple;

    /// <summary>Turns a square of 16 by 16 round: to[i, j] = from[j, i].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Turn(float* from, nint fromStride, float* to, nint toStride)
    {
        const byte Even = 0x88, Odd = 0xdd;             // of the quarters of two vectors
        var r = stackalloc Vector512<float>[Lanes];
        var t = stackalloc Vector512<float>[Lanes];
        for (var i = 0; i < Lanes; i += 2)
        {
            Vector512<float> first = Vector512.Load(from + i * fromStride), second = Vector512.Load(from + (i + 1) * fromStride);
            t[i] = Avx512F.UnpackLow(first, second);
            t[i + 1] = Avx512F.UnpackHigh(first, second);
        }
        for (var i = 0; i < Lanes; i += 4)
        {
            r[i] = Avx512F.UnpackLow(t[i].AsDouble(), t[i + 2].AsDouble()).AsSingle();
            r[i + 1] = Avx512F.UnpackHigh(t[i].AsDouble(), t[i + 2].AsDouble()).AsSingle();
            r[i + 2] = Avx512F.UnpackLow(t[i + 1].AsDouble(), t[i + 3].AsDouble()).AsSingle();
            r[i + 3] = Avx512F.UnpackHigh(t[i + 1].AsDouble(), t[i + 3].AsDouble()).AsSingle();
        }
        for (var half = 0; half < Lanes; half += 8)
            for (var i = half; i < half + 4; i++)
            {
                t[i] = Avx512F.Shuffle4x128(r[i], r[i + 4], Even);
                t[i + 4] = Avx512F.Shuffle4x128(r[i], r[i + 4], Odd);
            }
        for (var i = 0; i < 8; i++)
        {
            Avx512F.Shuffle4x128(t[i], t[i + 8], Even).Store(to + i * toStride);
            Avx512F.Shuffle4x128(t[i], t[i + 8], Odd).Store(to + (i + 8) * toStride);
        }
    }

    /// <summary>2ˣ, within two units of the last place; x below −126 counts as −126.</summary>
    /// <remarks>Rounded to the nearest whole number by adding 1.5·2²³; the rest, within ±½, by a polynomial through seven Chebyshev nodes.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> PowerOfTwo(Vector512<float> x)
    {
        const float Round = 12582912f;
        const int MantissaBits = 23;
        x = Vector512.MaxNative(Vector512.Create(-126f), x);           // NaN stays NaN
        var shifted = x + Vector512.Create(Round);
        var rest = x - (shifted - Vector512.Create(Round));
        var power = Vector512.FusedMultiplyAdd(Vector512.Create(0.00015461444695632573f), rest, Vector512.Create(0.0013400428177416093f));
        power = Vector512.FusedMultiplyAdd(power, rest, Vector512.Create(0.00961805667853236f));
        power = Vector512.FusedMultiplyAdd(power, rest, Vector512.Create(0.05550327226670846f));
        power = Vector512.FusedMultiplyAdd(power, rest, Vector512.Create(0.2402265092228873f));
        power = Vector512.FusedMultiplyAdd(power, rest, Vector512.Create(0.6931472067028324f));
        power = Vector512.FusedMultiplyAdd(power, rest, Vector512<float>.One);
        return (power.AsInt32() + (shifted.AsInt32() << MantissaBits)).AsSingle();
    }

    /// <summary>2ˣ within 7.5·10⁻⁵ of itself, a thirtieth of what bf16 can tell; any x below −149 gives 0.</summary>
    /// <remarks>The best cubic for the fraction (Remez), and the power of the whole number below.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> CoarsePowerOfTwo(Vector512<float> x)
    {
        const byte Down = 1;
        var rest = Avx512DQ.Reduce(x, Down);
        var power = Vector512.FusedMultiplyAdd(Vector512.Create(0.07802452266443254f), rest, Vector512.Create(0.22606715539312935f));
        power = Vector512.FusedMultiplyAdd(power, rest, Vector512.Create(0.6958335405064481f));
        return Avx512F.Scale(Vector512.FusedMultiplyAdd(power, rest, Vector512.Create(0.99992521856401f)), x);
    }

    /// <summary>The vector number <paramref name="index"/> from an address on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> At(float* memory, int index) => Vector512.Load(memory + index * Lanes);

    /// <summary>Writes it where <see cref="At"/> reads it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Put(Vector512<float> value, float* memory, int index) => value.Store(memory + index * Lanes);
}
