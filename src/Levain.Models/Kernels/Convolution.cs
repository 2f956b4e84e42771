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

    // Channels whose gradient is found together, and floats of their windows: of one image, of all images of a piece. Beyond, they leave the cache.
    private const int MostChannels = 16, WindowFloats = 1 << 16, AllWindowFloats = 1 << 18;

    /// <summary>A low-rank product beside a convolution.</summary>
    /// <param name="Down">[r, C·k²].</param>
    /// <param name="Up">[O, r].</param>
    public readonly record struct Beside(Matrix Down, Matrix Up, float Factor);

    /// <summary>Fills <paramref name="y"/>, [B, O, H, W], with the convolution of <paramref name="x"/>, [B, C, H, W]; all dense, as the weight, [O, C, k, k].</summary>
    /// <param name="beside">What else is added; null: nothing.</param>
    /// <returns>factor·down·x, [B, r, H·W], where something is.</returns>
    public static Tensor? Run(Tensor x, Tensor weight, Tensor? bias, Tensor y, Beside? beside = null)
    {
        var size = new Size(weight, x);
        var (images, threads) = ((int)x.size(0), size.Threads(x));
        using var padded = empty([images * size.Inputs * size.Plane]);
        float* planes = (float*)TensorMemory.Address(padded), to = (float*)TensorMemory.Address(y), shifts = bias is null ? null : (float*)TensorMemory.Address(bias);
        var w = new Matrix(TensorMemory.Address(weight), size.Outputs, size.Window, size.Window, 1);
        Pad((float*)TensorMemory.Address(x), planes, size, images * size.Inputs, threads);
        var groups = (size.Pixels + Gemm.Group - 1) / Gemm.Group;
        var parts = Team.Pieces(threads, images * groups, size.Outputs, Tiles.Rows);
        // Every part forms all ranks for itself; the first one's are handed back.
        var inner = beside is null ? null : empty([parts, images, beside.Value.Down.Rows, size.Pixels]);
        var ranks = inner is null ? null : (float*)TensorMemory.Address(inner);
        Team.Run(threads, images * groups * parts, piece =>
        {
            var (place, part) = (piece / parts, piece % parts);
            var (image, first) = (place / groups, place % groups * Gemm.Group);
            var count = Math.Min(Gemm.Group, size.Pixels - first);
            var plane = planes + image * size.Inputs * size.Plane;
            var map = new Matrix((nint)(to + (long)image * size.Outputs * size.Pixels), size.Outputs, size.Pixels, size.Pixels, 1);
            var share = Gemm.Share.Of(w, map, part, parts, shifts != null);
            if (shifts != null)
                for (var o = share.FirstRow; o < share.EndRow; o++) new Span<float>(map.At(o, first), count).Fill(shifts[o]);
            Gemm.Maker make = (k, depth, column, some, into) => Windows(plane, size, k, depth, column, some, into);
            if (beside is not { } more)
            {
                Gemm.RunMade(make, first, count, share);
                return;
            }
            var mine = new Matrix((nint)(ranks + (long)(part * images + image) * more.Down.Rows * size.Pixels), more.Down.Rows, size.Pixels, size.Pixels, 1);
            Gemm.RunMade(make, first, count, share, Gemm.Share.Of(more.Down, mine, 0, 1, add: false));
            var some = mine.Part(first, first + count);
            if (more.Factor != 1)
                for (var rank = 0; rank < some.Rows; rank++) Numbers.Scale(some.At(rank, 0), some.At(rank, 0), count, more.Factor);
            Gemm.RunHere(more.Up.Turned.Part(share.FirstRow, share.EndRow).Turned, some, map.Part(first, first + count).Turned.Part(share.FirstRow, share.EndRow).Turned, add: true);
        });
        Keep(x, weight, bias, y, padded);
        return inner?.select(0, 0);
    }

    /// <summary>Fills <paramref name="dx"/>, [B, C, H, W], with the input's gradient for that of the output, [B, O, H, W].</summary>
    public static void Back(Tensor dy, Tensor weight, Tensor dx)
    {
        var way = new WayBack(new(weight, dx), (int)dx.size(0), (float*)TensorMemory.Address(dy), (float*)TensorMemory.Address(weight), (float*)TensorMemory.Address(dx));
        var threads = way.Size.Threads(dx);
        Team.Run(threads, way.Pieces(threads), way.Run);
        Keep(dy, weight, dx);
    }

    /// <summary>The way back of a batch, in pieces: a group of channels in some images.</summary>
    public sealed class WayBack(Size size, int images, float* dy, float* weight, float* dx)
    {
        // The more channels, the longer the pieces of weight that are read.
        private readonly int group = Math.Max(Tiles.Rows, Math.Min(MostChannels, WindowFloats / (size.Pixels * size.Side * size.Side)) / Tiles.Rows * Tiles.Rows);
        private int parts = 1;

        public Size Size => size;

        /// <summary>A second weight, [r, C·k²] dense, and its output's gradient, [B, r, H·W] dense.</summary>
        public (Matrix Weight, nint Gradient)? Beside { get; init; }

        /// <summary>How many pieces there are for so many threads.</summary>
        public int Pieces(int threads)
        {
            var groups = (size.Inputs + group - 1) / group;
            var windows = (long)images * group * size.Side * size.Side * size.Pixels;
            parts = Math.Max(Team.Pieces(threads, groups, images, 1), (int)Math.Min(images, (windows + AllWindowFloats - 1) / AllWindowFloats));
            return groups * parts;
        }

        /// <summary>The gradients of all windows of a group, [channels·k², H·W] for each image, then each cell's sum over the windows it is in.</summary>
        public void Run(int piece)
        {
            var channel = piece / parts * group;
            var (first, end) = Team.Piece(piece % parts, parts, images, 1);
            var (taps, count) = (size.Side * size.Side, Math.Min(group, size.Inputs - channel));
            var rows = count * taps;
            var lanes = Tiles.RoundUp(size.Pixels, Tiles.Lanes);
            var map = (long)Tiles.RoundUp(rows, Tiles.Rows) * lanes;
            var (packing, copy) = (Tiles.RoundUp(rows, Tiles.Rows) * Depth, lanes == size.Pixels ? 0 : Depth * lanes);
            var scratch = Scratch.Of(Scratch.Whole((end - first) * map) + Scratch.Whole(size.Plane) + Scratch.Whole(packing) + Scratch.Whole(copy));
            float* windows = scratch.Cut((end - first) * map), plane = scratch.Cut(size.Plane), packed = scratch.Cut(packing), copied = scratch.Cut(copy);
            Gradients(weight + channel * taps, size.Outputs, dy, add: false);
            if (Beside is var (second, gradient)) Gradients(second.At(0, channel * taps), second.Rows, (float*)gradient, add: true);
            for (var image = first; image < end; image++)
                for (var c = 0; c < count; c++)
                {
                    Fold(windows + (image - first) * map + (long)c * taps * lanes, lanes, plane, size);
                    for (var y = 0; y < size.Height; y++) new Span<float>(size.Inside(plane, y), size.Width).CopyTo(new(dx + ((long)image * size.Inputs + channel + c) * size.Pixels + y * size.Width, size.Width));
                }

            // Rows of a weight's transpose times the gradient of so many outputs.
            void Gradients(float* weight, int outputs, float* gradients, bool add)
            {
                for (var k = 0; k < outputs; k += Depth, add = true)
                {
                    var depth = Math.Min(Depth, outputs - k);
                    Pack(weight + (long)k * size.Window, size.Window, depth, rows, packed);
                    for (var image = first; image < end; image++)
                    {
                        var from = gradients + ((long)image * outputs + k) * size.Pixels;
                        if (copy > 0)       // rows end within a vector
                        {
                            for (var o = 0; o < depth; o++) new Span<float>(from + o * size.Pixels, size.Pixels).CopyTo(new(copied + o * lanes, lanes));
                            from = copied;
                        }
                        for (var column = 0; column < lanes; column += Tiles.Columns)
                        {
                            var vectors = lanes - column >= Tiles.Columns ? 2 : 1;
                            var to = windows + (image - first) * map + column;
                            for (var row = 0; row < rows; row += Tiles.Rows) Tiles.Product(vectors, depth, packed + row * depth, 1, Tiles.Rows, from + column, lanes, to + (long)row * lanes, lanes, add);
                        }
                    }
                }
            }
        }
    }

    private static void Keep(params ReadOnlySpan<Tensor?> tensors)
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
        var filled = Tiles.RoundUp(count, Tiles.Lanes);
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
            for (var j = count; j < filled; j++) to[j] = 0;
        }
    }

    /// <summary>A channel's cells, each the sum over the windows it is in.</summary>
    /// <param name="windows">[k², H·W].</param>
    /// <param name="stride">From one of its rows to the next.</param>
    /// <param name="plane">Receives the map with its border.</param>
    public static void Fold(float* windows, int stride, float* plane, in Size size)
    {
        new Span<float>(plane, (int)size.Plane).Clear();
        for (var tap = 0; tap < size.Side * size.Side; tap++)
            for (var y = 0; y < size.Height; y++)
                Numbers.Add(windows + (long)tap * stride + y * size.Width, plane + (y + tap / size.Side) * size.Wide + tap % size.Side, size.Width);
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

        /// <summary>Threads for the maps of a batch.</summary>
        public int Threads(Tensor maps) => Team.For(maps.size(0) * Outputs * Window * Pixels);

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
