using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Levain.Training.Orthogonal;

/// <summary>
/// Products of matrices that lie in panels of 32 columns, row after row of each: of two of them, 8 rows by 32 columns of the product stay in registers
/// while all of the inner side goes by. AVX-512.
/// </summary>
internal static unsafe class Panels
{
    /// <summary>Columns of a panel.</summary>
    public const int Width = 32;

    /// <summary>Rows that <see cref="Tile"/> makes at once.</summary>
    public const int TileRows = 8;

    /// <summary>A side made a multiple of a panel's width.</summary>
    public static int Padded(int side) => (side + Width - 1) / Width * Width;

    /// <summary>to[i, j] = Σₖ a[k, i]·b[k, j] for i below 8 and j below 32; rows of all three are 32 numbers apart.</summary>
    /// <param name="a">The first panel, from some column on.</param>
    /// <param name="b">The second panel.</param>
    /// <param name="count">Length of the sum.</param>
    /// <param name="to">The result.</param>
    /// <param name="add">Adds to what is there.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Tile(float* a, float* b, int count, float* to, bool add)
    {
        Vector512<float> l0 = default, l1 = default, l2 = default, l3 = default, l4 = default, l5 = default, l6 = default, l7 = default;
        Vector512<float> r0 = default, r1 = default, r2 = default, r3 = default, r4 = default, r5 = default, r6 = default, r7 = default;
        for (var k = 0; k < count; k++)
        {
            var (left, right) = (Vector512.Load(b), Vector512.Load(b + Width / 2));
            var x = Vector512.Create(a[0]);
            (l0, r0) = (Vector512.FusedMultiplyAdd(x, left, l0), Vector512.FusedMultiplyAdd(x, right, r0));
            x = Vector512.Create(a[1]);
            (l1, r1) = (Vector512.FusedMultiplyAdd(x, left, l1), Vector512.FusedMultiplyAdd(x, right, r1));
            x = Vector512.Create(a[2]);
            (l2, r2) = (Vector512.FusedMultiplyAdd(x, left, l2), Vector512.FusedMultiplyAdd(x, right, r2));
            x = Vector512.Create(a[3]);
            (l3, r3) = (Vector512.FusedMultiplyAdd(x, left, l3), Vector512.FusedMultiplyAdd(x, right, r3));
            x = Vector512.Create(a[4]);
            (l4, r4) = (Vector512.FusedMultiplyAdd(x, left, l4), Vector512.FusedMultiplyAdd(x, right, r4));
            x = Vector512.Create(a[5]);
            (l5, r5) = (Vector512.FusedMultiplyAdd(x, left, l5), Vector512.FusedMultiplyAdd(x, right, r5));
            x = Vector512.Create(a[6]);
            (l6, r6) = (Vector512.FusedMultiplyAdd(x, left, l6), Vector512.FusedMultiplyAdd(x, right, r6));
            x = Vector512.Create(a[7]);
            (l7, r7) = (Vector512.FusedMultiplyAdd(x, left, l7), Vector512.FusedMultiplyAdd(x, right, r7));
            a += Width;
            b += Width;
        }
        Put(to, 0, l0, r0, add);
        Put(to, 1, l1, r1, add);
        Put(to, 2, l2, r2, add);
        Put(to, 3, l3, r3, add);
        Put(to, 4, l4, r4, add);
        Put(to, 5, l5, r5, add);
        Put(to, 6, l6, r6, add);
        Put(to, 7, l7, r7, add);
    }

    /// <summary>The product of panels whose result is symmetric: to[i, j] = Σₖ a[k, i]·b[k, j]. Blocks on and above the diagonal are made; see <see cref="Mirror"/>.</summary>
    /// <param name="a">Panels of <paramref name="side"/> columns, <paramref name="rows"/> rows kept of each.</param>
    /// <param name="b">As a.</param>
    /// <param name="count">Length of the sum; at most rows.</param>
    /// <param name="rows">Rows between one panel and the next.</param>
    /// <param name="to">Panels of side by side.</param>
    /// <param name="side">A multiple of 32.</param>
    /// <param name="add">Adds to what is there.</param>
    public static void Symmetric(float* a, float* b, int count, int rows, float* to, int side, bool add)
    {
        for (var column = 0; column < side; column += Width)
            for (var row = 0; row < column + Width; row += TileRows)
                Tile(a + (long)row / Width * Width * rows + row % Width, b + (long)column * rows, count, to + (long)column * side + row * Width, add);
    }

    /// <summary>Copies what is above the diagonal to below it, so that the matrix is its own transpose to the bit: rounding that is not grows from round to round.</summary>
    public static void Mirror(float* matrix, int side)
    {
        for (var column = 0; column < side; column += Width)
        {
            for (var row = 0; row < column; row += Width)
                Transpose(matrix + (long)column * side + row * Width, Width, matrix + (long)row * side + column * Width, Width, Width, Width);
            var block = matrix + (long)column * side + column * Width;
            for (var i = 0; i < Width; i += TileRows)
            {
                for (var j = i + TileRows; j < Width; j += TileRows) Transpose8(block + i * Width + j, Width, block + j * Width + i, Width);
                for (var below = 1; below < TileRows; below++)
                    for (var j = 0; j < below; j++) block[(i + below) * Width + i + j] = block[(i + j) * Width + i + below];
            }
        }
    }

    /// <summary>to[j, i] = from[i, j].</summary>
    /// <param name="from">Rows <paramref name="fromStride"/> numbers apart.</param>
    /// <param name="to">Rows <paramref name="toStride"/> numbers apart.</param>
    public static void Transpose(float* from, long fromStride, float* to, long toStride, int rows, int columns)
    {
        var (wholeRows, wholeColumns) = (rows - rows % 8, columns - columns % 8);
        for (var i = 0; i < wholeRows; i += 8)
            for (var j = 0; j < wholeColumns; j += 8)
                Transpose8(from + i * fromStride + j, fromStride, to + j * toStride + i, toStride);
        for (var i = 0; i < rows; i++)
            for (var j = i < wholeRows ? wholeColumns : 0; j < columns; j++)
                to[j * toStride + i] = from[i * fromStride + j];
    }

    private static void Transpose8(float* from, long fromStride, float* to, long toStride)
    {
        static void pairs(Vector256<float> left, Vector256<float> right, out Vector256<float> low, out Vector256<float> high) => (low, high) = (Avx.UnpackLow(left, right), Avx.UnpackHigh(left, right));
        Vector256<float> row(int i) => Vector256.Load(from + i * fromStride);
        pairs(row(0), row(1), out var a0, out var a1);
        pairs(row(2), row(3), out var a2, out var a3);
        pairs(row(4), row(5), out var a4, out var a5);
        pairs(row(6), row(7), out var a6, out var a7);
        const byte lows = 0x44, highs = 0xEE, lowHalves = 0x20, highHalves = 0x31;
        var (b0, b1, b2, b3) = (Avx.Shuffle(a0, a2, lows), Avx.Shuffle(a0, a2, highs), Avx.Shuffle(a1, a3, lows), Avx.Shuffle(a1, a3, highs));
        var (b4, b5, b6, b7) = (Avx.Shuffle(a4, a6, lows), Avx.Shuffle(a4, a6, highs), Avx.Shuffle(a5, a7, lows), Avx.Shuffle(a5, a7, highs));
        Avx.Permute2x128(b0, b4, lowHalves).Store(to);
        Avx.Permute2x128(b1, b5, lowHalves).Store(to + toStride);
        Avx.Permute2x128(b2, b6, lowHalves).Store(to + 2 * toStride);
        Avx.Permute2x128(b3, b7, lowHalves).Store(to + 3 * toStride);
        Avx.Permute2x128(b0, b4, highHalves).Store(to + 4 * toStride);
        Avx.Permute2x128(b1, b5, highHalves).Store(to + 5 * toStride);
        Avx.Permute2x128(b2, b6, highHalves).Store(to + 6 * toStride);
        Avx.Permute2x128(b3, b7, highHalves).Store(to + 7 * toStride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(float* to, int row, Vector512<float> left, Vector512<float> right, bool add)
    {
        to += row * Width;
        if (add) (left, right) = (left + Vector512.Load(to), right + Vector512.Load(to + Width / 2));
        left.Store(to);
        right.Store(to + Width / 2);
    }
}
