using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>
/// Convolutions of stride 1 that keep the size, as products of matrices over the weight as it lies: nothing is arranged anew for a call. That matters
/// where maps are small and weights large, and lets one copy of the weight serve both ways.
/// </summary>
/// <remarks>Forwards: weight [O, C·k²] times the windows [C·k², H·W], which are made a block at a time. Backwards: the weight's transpose times the gradient, whose rows are added to the cells they stem from.</remarks>
internal static unsafe class Convolution
{
    private const int Depth = 512;

    // Channels whose gradient is found together: the more, the longer the pieces of weight that are read, until their windows leave the cache.
    private const int MostChannels = 16, WindowFloats = 1 << 16;

    /// <summary>Adds the convolution of <paramref name="x"/>, [C, H, W], to <paramref name="y"/>, [O, H, W]; both dense, as the weight, [O, C, k, k].</summary>
    public static void Add(Tensor x, Tensor weight, Tensor y)
    {
        var size = new Size(weight, x);
        using var padded = empty([size.Inputs * size.Plane]);
        float* from = (float*)TensorMemory.Address(x), inner = (float*)TensorMemory.Address(padded);
        Pad(from, inner, size, size.Inputs, size.Threads);
        Gemm.Maker make = (k, depth, column, count, to) => Windows(inner, size, k, depth, column, count, to);
        Gemm.RunMade(new(TensorMemory.Address(weight), size.Outputs, size.Window, size.Window, 1), make, new(TensorMemory.Address(y), size.Outputs, size.Pixels, size.Pixels, 1), add: true);
        Keep(x, weight, y, padded);
    }

    /// <summary>Fills <paramref name="dx"/>, [C, H, W], with the input's gradient for that of the output, [O, H, W].</summary>
    public static void Back(Tensor dy, Tensor weight, Tensor dx)
    {
        var size = new Size(weight, dx);
        float* gradient = (float*)TensorMemory.Address(dy), w = (float*)TensorMemory.Address(weight), to = (float*)TensorMemory.Address(dx);
        var group = Math.Max(Tiles.Rows, Math.Min(MostChannels, WindowFloats / (size.Pixels * size.Side * size.Side)) / Tiles.Rows * Tiles.Rows);
        Team.Run(size.Threads, (size.Inputs + group - 1) / group, piece => Channels(gradient, w, to, size, piece * group, Math.Min(group, size.Inputs - piece * group)));
        Keep(dy, weight, dx);
    }

    private static void Keep(params Tensor[] tensors)
    {
        foreach (var tensor in tensors) GC.KeepAlive(tensor);
    }

    /// <summary>Copies maps into planes.</summary>
    /// <param name="maps">How many: channels of all images.</param>
    public static void Pad<T>(T* from, T* to, Size size, int maps, int threads) where T : unmanaged => Team.Run(threads, maps, map =>
    {
        T* source = from + (long)map * size.Pixels, plane = to + map * size.Plane;
        new Span<T>(plane, (int)size.Plane).Clear();
        for (var row = 0; row < size.Height; row++)
            new Span<T>(source + row * size.Width, size.Width).CopyTo(new(plane + (row + size.Padding) * size.Wide + size.Padding, size.Width));
    });

    // Rows k … of the windows, for 32 pixels: cell (ky, kx) of a channel, moved by the pixel.
    private static void Windows(float* padded, Size size, int k, int depth, int column, int count, float* to)
    {
        var (taps, side) = (size.Side * size.Side, size.Side);
        var first = stackalloc long[Tiles.Columns];
        for (var i = 0; i < count; i++) first[i] = (column + i) / size.Width * size.Wide + (column + i) % size.Width;
        var run = size.Width % Tiles.Lanes == 0 ? Tiles.Lanes : size.Width % 8 == 0 ? 8 : size.Width % 4 == 0 ? 4 : 1;      // pixels side by side
        if (count % run != 0) run = 1;
        for (var i = k; i < k + depth; i++, to += Tiles.Columns)
        {
            var (channel, tap) = (i / taps, i % taps);
            var cell = padded + channel * size.Plane + tap / side * size.Wide + tap % side;
            for (var j = 0; j < count; j += run)
                switch (run)
                {
                    case Tiles.Lanes: Vector512.Load(cell + first[j]).Store(to + j); break;
                    case 8: Vector256.Load(cell + first[j]).Store(to + j); break;
                    case 4: Vector128.Load(cell + first[j]).Store(to + j); break;
                    default: to[j] = cell[first[j]]; break;
                }
            for (var j = count; j < Tiles.Columns; j++) to[j] = 0;
        }
    }

    // The gradient of a few channels: all their windows' gradients, [channels·k², H·W], then each cell's sum over the windows it is in.
    private static void Channels(float* dy, float* weight, float* dx, Size size, int channel, int count)
    {
        var taps = size.Side * size.Side;
        var rows = count * taps;
        var whole = Tiles.RoundUp(rows, Tiles.Rows);
        var scratch = Scratch.Of(Scratch.Whole((long)whole * size.Pixels) + Scratch.Whole(size.Plane) + Scratch.Whole((long)whole * Depth));
        float* windows = scratch.Cut((long)whole * size.Pixels), plane = scratch.Cut(size.Plane), packed = scratch.Cut((long)whole * Depth);
        for (var k = 0; k < size.Outputs; k += Depth)
        {
            var depth = Math.Min(Depth, size.Outputs - k);
            Pack(weight + (long)k * size.Window + channel * taps, size.Window, depth, rows, packed);
            for (var column = 0; column < size.Pixels; column += Tiles.Columns)
            {
                var vectors = size.Pixels - column >= Tiles.Columns ? 2 : 1;
                for (var row = 0; row < rows; row += Tiles.Rows)
                    Tiles.Product(vectors, depth, packed + row * depth, 1, Tiles.Rows, dy + (long)k * size.Pixels + column, size.Pixels, windows + (long)row * size.Pixels + column, size.Pixels, k > 0);
            }
        }
        for (var c = 0; c < count; c++)
        {
            Fold(windows + (long)c * taps * size.Pixels, plane, size);
            for (var y = 0; y < size.Height; y++) new Span<float>(size.Inside(plane, y), size.Width).CopyTo(new(dx + (long)(channel + c) * size.Pixels + y * size.Width, size.Width));
        }
    }

    /// <summary>A channel's cells, each the sum over the windows it is in.</summary>
    /// <param name="windows">[k², H·W].</param>
    /// <param name="plane">Receives the map with its border.</param>
    public static void Fold(float* windows, float* plane, in Size size)
    {
        new Span<float>(plane, (int)size.Plane).Clear();
        for (var tap = 0; tap < size.Side * size.Side; tap++)
            for (var y = 0; y < size.Height; y++)
                Numbers.Add(windows + (long)tap * size.Pixels + y * size.Width, plane + (y + tap / size.Side) * size.Wide + tap % size.Side, size.Width);
    }

    // [rows/8][depth][8] of the weight's rows, which lie side by side for each output.
    private static void Pack(float* weight, nint stride, int depth, int rows, float* to)
    {
        for (var i = 0; i < depth; i++, weight += stride)
            for (var row = 0; row < rows; row += Tiles.Rows)
            {
                var into = to + row * depth + i * Tiles.Rows;
                if (rows - row >= Tiles.Rows) Vector256.Load(weight + row).Store(into);
                else for (var j = 0; j < Tiles.Rows; j++) into[j] = row + j < rows ? weight[row + j] : 0;
            }
    }

    /// <summary>Sides of a convolution; a plane is a channel's map with its border of zeros.</summary>
    public readonly struct Size
    {
        public readonly int Inputs, Outputs, Side, Height, Width, Padding, Pixels, Window, Wide;
        public readonly long Plane;

        public int Threads => Team.For((long)Outputs * Window * Pixels);

        public Size(Tensor weight, Tensor map)
        {
            (Outputs, Inputs, Side) = ((int)weight.size(0), (int)weight.size(1), (int)weight.size(2));
            (Height, Width) = ((int)map.size(-2), (int)map.size(-1));
            (Padding, Pixels, Window) = (Side / 2, Height * Width, Inputs * Side * Side);
            Wide = Width + 2 * Padding;
            Plane = (long)Wide * (Height + 2 * Padding);
        }

        /// <summary>Where a row of the map lies in a plane.</summary>
        public float* Inside(float* plane, int row) => plane + (row + Padding) * Wide + Padding;
    }
}
