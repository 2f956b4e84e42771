using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Levain.Models;

namespace Levain.Training.Orthogonal;

/// <summary>
/// Products of matrices that lie in panels of 32 columns, row after row of each. AVX-512.
/// </summary>
internal static unsafe class Panels
{
    /// <summary>Columns of a panel.</summary>
    public const int Width = Tiles.Columns;

    /// <summary>Rows that <see cref="Tile"/> makes at once.</summary>
    public const int TileRows = Tiles.Rows;

    // For each tile: more at once would wait for one another, and 128 columns make 32 tiles, enough for 128 rows.
    private const int AheadRows = 4;

    /// <summary>A side made a multiple of a panel's width.</summary>
    public static int Padded(int side) => Tiles.RoundUp(side, Width);

    /// <summary>to[i, j] = Σₖ a[i, k]·b[k, j] for i below 8 and j below 32.</summary>
    /// <param name="a">Some rows.</param>
    /// <param name="aRow">From one row of a to the next.</param>
    /// <param name="aColumn">From one column of a to the next.</param>
    /// <param name="b">A panel.</param>
    /// <param name="count">Length of the sum.</param>
    /// <param name="to">Rows of 32 side by side.</param>
    public static void Tile(float* a, nint aRow, nint aColumn, float* b, int count, float* to) => Tiles.Product(2, count, a, aRow, aColumn, b, Width, to, Width, add: false);

    /// <summary>The product of panels whose result is symmetric: to[i, j] = Σₖ a[k, i]·b[k, j]. Squares of 16 on and above the diagonal are made; see <see cref="Mirror"/>.</summary>
    /// <param name="a">Panels of <paramref name="side"/> columns, <paramref name="rows"/> rows kept of each.</param>
    /// <param name="b">As a.</param>
    /// <param name="count">Length of the sum; at most rows.</param>
    /// <param name="rows">Rows between one panel and the next.</param>
    /// <param name="to">Panels of side by side.</param>
    /// <param name="side">A multiple of 32.</param>
    /// <param name="add">Adds to what is there.</param>
    /// <param name="ahead">What is read next.</param>
    public static void Symmetric(float* a, float* b, int count, int rows, float* to, int side, bool add, Ahead ahead = default)
    {
        for (var column = 0; column < side; column += Width)
        {
            float* right = b + (long)column * rows, result = to + (long)column * side;
            for (var row = 0; row < column + Tiles.Lanes; row += TileRows)
            {
                ahead.Fetch(AheadRows);
                Tiles.Product(2, count, a + (long)row / Width * Width * rows + row % Width, 1, Width, right, Width, result + row * Width, Width, add);
            }
            for (var row = column + Tiles.Lanes; row < column + Width; row += TileRows)
                Tiles.Product(1, count, a + (long)column * rows + row % Width, 1, Width, right + Tiles.Lanes, Width, result + row * Width + Tiles.Lanes, Width, add);
        }
    }

    /// <summary>Copies what is above the diagonal to below it, so that the matrix is its own transpose to the bit: rounding that is not grows from round to round.</summary>
    public static void Mirror(float* matrix, int side)
    {
        for (var column = 0; column < side; column += Width)
        {
            var panel = matrix + (long)column * side;
            for (var row = 0; row < column; row += TileRows)
                for (var j = 0; j < Width; j += TileRows)
                    Transpose8(panel + row * Width + j, Width, matrix + (long)row / Width * Width * side + (column + j) * Width + row % Width, Width);
            var block = panel + column * Width;
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
}
