using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Levain.Training.Orthogonal;

/// <summary>
/// One thread's desk for making matrices orthogonal. A matrix is looked at as samples of <c>side</c> numbers each, the side being its shorter one: all
/// rounds are made on the side × side products, which are symmetric, so that half of each is enough; the matrix itself is read twice.
/// </summary>
internal sealed unsafe class NewtonSchulz : IDisposable
{
    // Samples that are laid out in panels at once.
    private const int Chunk = 128;
    private const int Squares = 5;

    private readonly int most;
    private readonly float* memory;

    /// <param name="longestSide">The longest of the matrices' shorter sides.</param>
    public NewtonSchulz(int longestSide)
    {
        most = Panels.Padded(longestSide);
        var numbers = (long)Squares * most * most + (long)Chunk * most + (long)Panels.Width * most + Panels.Width * Panels.TileRows;
        memory = (float*)NativeMemory.AlignedAlloc((nuint)(numbers * sizeof(float)), (nuint)Vector512<byte>.Count);
    }

    /// <summary>Whether this processor has what it takes; else tensor operations do the same.</summary>
    public static bool IsSupported => Vector512.IsHardwareAccelerated;

    /// <summary>p ← stay·p − length·O(u), where O brings all singular values near 1.</summary>
    /// <param name="p">Parameters, rows by columns.</param>
    /// <param name="u">The gradient, as large; it becomes the update.</param>
    /// <param name="momentum">As large.</param>
    /// <param name="mix">How the gradient joins the momentum.</param>
    /// <param name="rounds">Rounds.</param>
    /// <param name="coefficients">A round makes a·x + b·x³ + c·x⁵ of every singular value.</param>
    /// <param name="eps">Least norm that the update is divided by.</param>
    public void Move(float* p, float* u, float* momentum, int rows, int columns, MomentumMix mix, double stay, double length, int rounds, IReadOnlyList<double> coefficients, double eps)
    {
        var tall = rows > columns;
        var shape = (Tall: tall, Samples: tall ? rows : columns, Side: tall ? columns : rows);
        var norm = Math.Max(Math.Sqrt(Gram(u, momentum, mix, shape)), eps);
        var side = Panels.Padded(shape.Side);
        var area = side * side;
        Scale(Square(0, side), area, (float)(1 / (norm * norm)));
        Apply(p, u, shape, Polynomial(side, rounds, coefficients), (float)stay, (float)(-length / norm));
    }

    /// <inheritdoc/>
    public void Dispose() => NativeMemory.AlignedFree(memory);

    private float* Square(int index, int side) => memory + (long)index * side * side;

    private float* Desk => memory + (long)Squares * most * most;

    private float* Strip => Desk + (long)Chunk * most;

    private float* Corner => Strip + (long)Panels.Width * most;

    // Square 0 becomes the product of all samples with each other; its trace is the squared norm. Gradients join the momentum just before they are needed.
    private double Gram(float* u, float* momentum, MomentumMix mix, (bool Tall, int Samples, int Side) shape)
    {
        var side = Panels.Padded(shape.Side);
        if (shape.Side < side) new Span<float>(Desk, Chunk * side).Clear();        // beyond the side stays 0
        var gram = Square(0, side);
        for (var from = 0; from < shape.Samples; from += Chunk)
        {
            var count = Math.Min(Chunk, shape.Samples - from);
            if (shape.Tall) mix.Apply(u + from * (long)shape.Side, momentum + from * (long)shape.Side, count * shape.Side);
            else
                for (var row = 0; row < shape.Side; row++) mix.Apply(u + row * (long)shape.Samples + from, momentum + row * (long)shape.Samples + from, count);
            for (var panel = 0; panel < shape.Side; panel += Panels.Width)
            {
                var to = Desk + panel * Chunk;
                var width = Math.Min(Panels.Width, shape.Side - panel);
                if (shape.Tall) Copy(u + from * (long)shape.Side + panel, shape.Side, to, count, width);
                else Panels.Transpose(u + panel * (long)shape.Samples + from, shape.Samples, to, Panels.Width, width, count);
            }
            Panels.Symmetric(Desk, Desk, count, Chunk, gram, side, add: from > 0, Next(from + Chunk));
        }
        Panels.Mirror(gram, side);
        var trace = 0.0;
        for (var i = 0; i < shape.Side; i++) trace += *Diagonal(gram, side, i);
        return trace;

        Ahead Next(int from)
        {
            var count = Math.Min(Chunk, shape.Samples - from);
            if (count <= 0) return default;
            var start = from * (long)(shape.Tall ? shape.Side : 1);
            return shape.Tall
                ? new(u + start, momentum + start, shape.Side, count, shape.Side)
                : new(u + start, momentum + start, shape.Samples, shape.Side, count);
        }
    }

    // Of S in square 0: the product of all rounds' a + b·S + c·S², where S becomes (a + b·S + c·S²)²·S from round to round.
    private float* Polynomial(int side, int rounds, IReadOnlyList<double> coefficients)
    {
        var (s, factor, product, other, half) = (0, 1, 2, 3, 4);
        float* at(int index) => Square(index, side);
        void multiply(int left, int right, int to)
        {
            Panels.Symmetric(at(left), at(right), side, side, at(to), side, add: false);
            Panels.Mirror(at(to), side);
        }
        for (var round = 0; round < rounds; round++)
        {
            Panels.Symmetric(at(s), at(s), side, side, at(factor), side, add: false);
            for (var column = 0L; column < side; column += Panels.Width)
                Mix(at(factor) + column * side, at(s) + column * side, (int)(column + Panels.Width) * Panels.Width, (float)coefficients[2], (float)coefficients[1]);
            for (var i = 0; i < side; i++) *Diagonal(at(factor), side, i) += (float)coefficients[0];
            Panels.Mirror(at(factor), side);
            if (round == 0) new Span<float>(at(factor), side * side).CopyTo(new(at(product), side * side));
            else
            {
                multiply(factor, product, other);
                (product, other) = (other, product);
            }
            if (round == rounds - 1) break;
            multiply(factor, factor, half);
            multiply(half, s, other);
            (s, other) = (other, s);
        }
        return at(product);
    }

    private void Apply(float* p, float* u, (bool Tall, int Samples, int Side) shape, float* factor, float stay, float length)
    {
        var side = Panels.Padded(shape.Side);
        for (var from = 0; from < shape.Samples; from += Panels.Width)
        {
            var count = Math.Min(Panels.Width, shape.Samples - from);
            if (shape.Tall)
            {
                var samples = u + from * (long)shape.Side;
                if (count < Panels.Width)                       // a tile reads all its rows
                {
                    new Span<float>(samples, count * shape.Side).CopyTo(new(Strip, count * shape.Side));
                    samples = Strip;
                }
                for (var column = 0; column < shape.Side; column += Panels.Width)
                    for (var row = 0; row < count; row += Panels.TileRows)
                    {
                        Panels.Tile(samples + row * shape.Side, shape.Side, 1, factor + (long)column * side, shape.Side, Corner);
                        Take((from + row) * (long)shape.Side + column, shape.Side, Math.Min(Panels.TileRows, count - row), Math.Min(Panels.Width, shape.Side - column));
                    }
            }
            else
            {
                if (count < Panels.Width) new Span<float>(Strip, shape.Side * Panels.Width).Clear();
                Copy(u + from, shape.Samples, Strip, shape.Side, count);
                for (var row = 0; row < shape.Side; row += Panels.TileRows)
                {
                    Panels.Tile(factor + (long)row / Panels.Width * Panels.Width * side + row % Panels.Width, 1, Panels.Width, Strip, shape.Side, Corner);
                    Take(row * (long)shape.Samples + from, shape.Samples, Math.Min(Panels.TileRows, shape.Side - row), count);
                }
            }
        }

        void Take(long start, long stride, int height, int width)
        {
            var next = start + Panels.Width * (shape.Tall ? stride : 1);
            new Ahead(p + next, u + next, stride, height, width).Fetch(height);
            var to = p + start;
            for (var row = 0; row < height; row++, to += stride)
                if (width == Panels.Width) Mix(to, Corner + row * Panels.Width, Panels.Width, stay, length);
                else for (var j = 0; j < width; j++) to[j] = to[j] * stay + Corner[row * Panels.Width + j] * length;
        }
    }

    private static float* Diagonal(float* square, int side, int i) => square + (long)i / Panels.Width * Panels.Width * side + i * Panels.Width + i % Panels.Width;

    private static void Copy(float* from, long stride, float* to, int rows, int width)
    {
        if (width == Panels.Width)
            for (var row = 0; row < rows; row++, from += stride, to += Panels.Width)
            {
                Vector512.Load(from).Store(to);
                Vector512.Load(from + Vector512<float>.Count).Store(to + Vector512<float>.Count);
            }
        else
            for (var row = 0; row < rows; row++) new Span<float>(from + row * stride, width).CopyTo(new(to + row * Panels.Width, width));
    }

    // x ← x·own + y·other; the count is a multiple of 16.
    private static void Mix(float* x, float* y, int count, float own, float other)
    {
        for (var i = 0; i < count; i += Vector512<float>.Count)
            (Vector512.Load(x + i) * own + Vector512.Load(y + i) * other).Store(x + i);
    }

    private static void Scale(float* x, int count, float factor)
    {
        for (var i = 0; i < count; i += Vector512<float>.Count) (Vector512.Load(x + i) * factor).Store(x + i);
    }
}
