using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>Convolutions of stride 1 of large bf16 maps, as one product for each cell of the window: the map's rows, put in pairs of channels once, are read from a shifted place.</summary>
/// <remarks>The weight is laid out by cells for each call, [k, k, O, C], which is little beside a large map; small ones are <see cref="Bf16Convolution"/>'s.</remarks>
internal static unsafe class Bf16WideConvolution
{
    // Sides of a patch whose sums stay in the nearest caches; depth of one product.
    private const int Side = 8, Columns = 64, Depth = 512;

    /// <summary>Whether the map has pairs of channels.</summary>
    public static bool Suits(Tensor weight) => Bf16Product.IsAvailable && weight.size(0) % Tiles.Lanes == 0 && weight.size(1) % Tiles.Lanes == 0;

    /// <summary>Fills <paramref name="y"/>, [B, O, H, W], with the convolution of <paramref name="x"/>, [B, C, H, W]; both dense.</summary>
    /// <param name="weight">[O, C, k, k] in any order of memory.</param>
    public static void Run(Tensor x, Tensor weight, Tensor? bias, Tensor y)
    {
        var size = new Convolution.Size(weight, x);
        using var cells = weight.permute(2, 3, 0, 1);
        using var dense = cells.contiguous();
        using var shift = bias?.to_type(ScalarType.Float32);
        ushort* from = (ushort*)TensorMemory.Address(x), taps = (ushort*)TensorMemory.Address(dense), to = (ushort*)TensorMemory.Address(y);
        var shifts = shift is null ? null : (float*)TensorMemory.Address(shift);
        var images = (int)x.size(0);
        var (down, along) = ((size.Height + Side - 1) / Side, (size.Width + Columns - 1) / Columns);
        Team.Run(Team.For((long)images * size.Outputs * size.Window * size.Pixels), images * down * along, piece =>
        {
            var (image, row, column) = (piece / along / down, piece / along % down * Side, piece % along * Columns);
            var map = (long)image * size.Pixels;
            Patch(from + map * size.Inputs, taps, shifts, to + map * size.Outputs, size, (row, column), (Math.Min(Side, size.Height - row), Math.Min(Columns, size.Width - column)));
        });
        foreach (var tensor in (Tensor?[])[x, dense, shift, y]) GC.KeepAlive(tensor);
    }

    private static void Patch(ushort* map, ushort* taps, float* bias, ushort* y, in Convolution.Size size, (int Row, int Column) first, (int Rows, int Columns) count)
    {
        var (rows, wide) = (count.Rows + size.Side - 1, count.Columns + size.Side - 1);
        var stride = rows * wide;
        var scratch = Scratch.Of(Scratch.Whole((long)size.Inputs / 2 * stride) + Scratch.Whole((long)size.Outputs * count.Columns));
        var pairs = (uint*)scratch.Cut((long)size.Inputs / 2 * stride);
        var sums = scratch.Cut((long)size.Outputs * count.Columns);
        for (var c = 0; c < size.Inputs; c += 2) Pair(map + (long)c * size.Pixels, pairs + (long)c / 2 * stride, size, (first.Row - size.Padding, first.Column - size.Padding), rows, wide);
        for (var row = 0; row < count.Rows; row++)
        {
            for (var o = 0; o < size.Outputs; o++) new Span<float>(sums + o * count.Columns, count.Columns).Fill(bias == null ? 0 : bias[o]);
            for (var tap = 0; tap < size.Side * size.Side; tap++)
                for (var k = 0; k < size.Inputs; k += Depth)
                    Bf16Product.Run(size.Outputs, count.Columns, Math.Min(Depth, size.Inputs - k), taps + (long)tap * size.Outputs * size.Inputs + k, size.Inputs,
                        pairs + (long)k / 2 * stride + (row + tap / size.Side) * wide + tap % size.Side, stride, sums, count.Columns, add: true);
            for (var o = 0; o < size.Outputs; o++)
                Numbers.ToBf16(sums + o * count.Columns, y + (long)o * size.Pixels + (first.Row + row) * size.Width + first.Column, count.Columns, 1);
        }
        Bf16Product.Release();
    }

    // A part of two channels; what lies outside of the map is zero.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Pair(ushort* even, uint* to, in Convolution.Size size, (int Row, int Column) first, int rows, int wide)
    {
        var (from, end) = (Math.Max(first.Column, 0), Math.Min(first.Column + wide, size.Width));
        for (var row = first.Row; row < first.Row + rows; row++, to += wide)
        {
            if (row < 0 || row >= size.Height || from > first.Column || end < first.Column + wide) new Span<uint>(to, wide).Clear();
            if (row < 0 || row >= size.Height) continue;
            ushort* a = even + row * size.Width, b = a + size.Pixels;
            var into = to - first.Column;
            var x = from;
            for (; x <= end - Tiles.Lanes; x += Tiles.Lanes) Bf16Product.Pair(a + x, b + x).Store(into + x);
            for (; x < end; x++) into[x] = a[x] | ((uint)b[x] << Bf16Product.Shift);
        }
    }
}
