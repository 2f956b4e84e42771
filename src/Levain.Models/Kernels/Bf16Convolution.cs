using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using static TorchSharp.torch;

namespace Levain.Models;

/// <summary><see cref="Convolution"/> for bf16 maps and weights, with sums in fp32.</summary>
/// <remarks>
/// Forwards as there. Backwards the windows' gradients, [H·W, C·k²], are the gradient's transpose times the weight, whose rows are only put in pairs
/// for it: what is arranged anew for a call is the small map, never the weight.
/// </remarks>
internal static unsafe class Bf16Convolution
{
    // Sums of so many pixels and channels stay in the second cache beside the windows they are formed of.
    private const int MostPixels = 256, MostOutputs = 640, Windows = 288, Depth = 256, Inputs = 32, LeastInputs = 16;

    /// <summary>Whether maps and weights have sides that the kernels can deal out.</summary>
    public static bool Suits(Tensor x, Tensor weight) =>
        Bf16Product.IsAvailable && weight.size(0) % LeastInputs == 0 && weight.size(1) % LeastInputs == 0 && x.size(3) % 8 == 0 && x.size(2) * x.size(3) % Tiles.Lanes == 0;

    /// <summary>Fills <paramref name="y"/>, [B, O, H, W], with the convolution of <paramref name="x"/>, [B, C, H, W]; all dense, as the weight, [O, C, k, k].</summary>
    public static void Run(Tensor x, Tensor weight, Tensor? bias, Tensor y)
    {
        var size = new Convolution.Size(weight, x);
        var images = (int)x.size(0);
        using var padded = empty([images * size.Inputs * size.Plane], ScalarType.BFloat16);
        using var shift = bias?.to_type(ScalarType.Float32);
        ushort* from = (ushort*)TensorMemory.Address(x), inner = (ushort*)TensorMemory.Address(padded), w = (ushort*)TensorMemory.Address(weight), to = (ushort*)TensorMemory.Address(y);
        var shifts = shift is null ? null : (float*)TensorMemory.Address(shift);
        var threads = size.Threads(x);
        Convolution.Pad(from, inner, size, images * size.Inputs, threads);

        var pixels = images * size.Pixels;
        var most = size.Width * Math.Max(1, MostPixels / size.Width);       // whole rows
        var groups = (pixels + most - 1) / most;
        var parts = Math.Max((threads + groups - 1) / groups, (size.Outputs + MostOutputs - 1) / MostOutputs);
        Team.Run(threads, groups * parts, piece =>
        {
            var (group, part) = (piece / parts, piece % parts);
            var (first, end) = (size.Outputs * part / parts, size.Outputs * (part + 1) / parts);
            Piece(inner, w, shifts, to, size, group * most, Math.Min(most, pixels - group * most), first, end);
        });
        foreach (var tensor in (Tensor?[])[x, weight, y, padded, shift]) GC.KeepAlive(tensor);
    }

    /// <summary>Fills <paramref name="dx"/>, [B, C, H, W], with the input's gradient for that of the output, [B, O, H, W].</summary>
    public static void Back(Tensor dy, Tensor weight, Tensor dx)
    {
        var size = new Convolution.Size(weight, dx);
        var images = (int)dy.size(0);
        using var turned = empty([images * size.Pixels * size.Outputs], ScalarType.BFloat16);
        using var rows = dy.view(1, images, size.Outputs, size.Pixels);
        var gradient = new HeadRows(rows);
        ushort* dyTurned = (ushort*)TensorMemory.Address(turned), w = (ushort*)TensorMemory.Address(weight), to = (ushort*)TensorMemory.Address(dx);
        var threads = size.Threads(dy);
        Team.Run(threads, images, image => gradient.Turn(image, dyTurned + (long)image * size.Pixels * size.Outputs, size.Outputs, Scratch.Of(Bf16HeadRows.Room(size.Pixels)).Cut(Bf16HeadRows.Room(size.Pixels))));

        var most = size.Pixels > MostPixels ? LeastInputs : Inputs;
        var groups = (size.Inputs + most - 1) / most;
        Team.Run(threads, images * groups, piece =>
        {
            var (image, first) = (piece / groups, piece % groups * most);
            var map = (long)image * size.Pixels;
            Channels(dyTurned + map * size.Outputs, w, to + map * size.Inputs, size, first, Math.Min(most, size.Inputs - first));
        });
        foreach (var tensor in (Tensor[])[dy, weight, dx, turned, rows]) GC.KeepAlive(tensor);
    }

    // Some output channels for some pixels, counted through all images.
    private static void Piece(ushort* padded, ushort* weight, float* bias, ushort* y, in Convolution.Size size, int firstPixel, int pixels, int first, int end)
    {
        var scratch = Scratch.Of(Scratch.Whole(Windows / 2 * pixels) + Scratch.Whole((long)(end - first) * pixels));
        var windows = (uint*)scratch.Cut(Windows / 2 * pixels);
        var sums = scratch.Cut((long)(end - first) * pixels);
        for (var o = first; o < end; o++) new Span<float>(sums + (long)(o - first) * pixels, pixels).Fill(bias == null ? 0 : bias[o]);
        for (var k = 0; k < size.Window; k += Windows)
        {
            var depth = Math.Min(Windows, size.Window - k);
            for (var i = 0; i < depth; i += 2)
                Pairs(Cell(padded, size, k + i), Cell(padded, size, k + i + 1), windows + i / 2 * pixels, size, firstPixel, pixels);
            Bf16Product.Run(end - first, pixels, depth, weight + (long)first * size.Window + k, size.Window, windows, pixels, sums, pixels, add: true);
        }
        for (var o = first; o < end; o++)
            for (var at = 0; at < pixels;)
            {
                var (image, pixel) = ((firstPixel + at) / size.Pixels, (firstPixel + at) % size.Pixels);
                var some = Math.Min(pixels - at, size.Pixels - pixel);
                Numbers.ToBf16(sums + (long)(o - first) * pixels + at, y + ((long)image * size.Outputs + o) * size.Pixels + pixel, some, 1);
                at += some;
            }
        Bf16Product.Release();
    }

    // Where the window of the first image's first pixel has its number k.
    private static ushort* Cell(ushort* padded, in Convolution.Size size, int k)
    {
        var (channel, tap) = (k / (size.Side * size.Side), k % (size.Side * size.Side));
        return padded + channel * size.Plane + tap / size.Side * size.Wide + tap % size.Side;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Pairs(ushort* even, ushort* odd, uint* to, in Convolution.Size size, int firstPixel, int pixels)
    {
        for (var at = 0; at < pixels; at += size.Width)
        {
            var pixel = firstPixel + at;
            var row = pixel / size.Pixels * size.Inputs * size.Plane + pixel % size.Pixels / size.Width * size.Wide;
            var x = 0;
            for (; x <= size.Width - Tiles.Lanes; x += Tiles.Lanes) Bf16Product.Pair(even + row + x, odd + row + x).Store(to + at + x);
            if (x < size.Width) (Avx2.ConvertToVector256Int32(even + row + x) | (Avx2.ConvertToVector256Int32(odd + row + x) << Bf16Product.Shift)).AsUInt32().Store(to + at + x);
        }
    }

    // The gradient of a few channels of one image.
    private static void Channels(ushort* dyTurned, ushort* weight, ushort* dx, in Convolution.Size size, int channel, int count)
    {
        var taps = size.Side * size.Side;
        var columns = count * taps;
        var scratch = Scratch.Of(Depth / 2 * columns + 2L * size.Pixels * columns + Scratch.Whole(size.Plane));
        var pairs = (uint*)scratch.Cut(Depth / 2 * columns);
        float* sums = scratch.Cut((long)size.Pixels * columns), windows = scratch.Cut((long)size.Pixels * columns), plane = scratch.Cut(size.Plane);
        for (var k = 0; k < size.Outputs; k += Depth)
        {
            var depth = Math.Min(Depth, size.Outputs - k);
            for (var i = 0; i < depth; i += 2)
            {
                var row = weight + (long)(k + i) * size.Window + channel * taps;
                for (var c = 0; c < columns; c += Tiles.Lanes) Bf16Product.Pair(row + c, row + size.Window + c).Store(pairs + i / 2 * columns + c);
            }
            Bf16Product.Run(size.Pixels, columns, depth, dyTurned + k, size.Outputs, pairs, columns, sums, columns, k > 0);
        }
        for (var c = 0; c < columns; c += Tiles.Lanes)
            for (var pixel = 0; pixel < size.Pixels; pixel += Tiles.Lanes) Tiles.Turn(sums + (long)pixel * columns + c, columns, windows + (long)c * size.Pixels + pixel, size.Pixels);
        for (var c = 0; c < count; c++)
        {
            Convolution.Fold(windows + (long)c * taps * size.Pixels, size.Pixels, plane, size);
            for (var y = 0; y < size.Height; y++) Numbers.ToBf16(size.Inside(plane, y), dx + (long)(channel + c) * size.Pixels + y * size.Width, size.Width, 1);
        }
        Bf16Product.Release();
    }
}
