using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Levain.Training.Elements;

/// <summary>
/// Runs a rule over ranges of flat tensors: in the processor's memory in one pass, whatever the rule, over pieces shared among threads; elsewhere with
/// tensor operations. Pieces are always the same and their sums are added in order, so the number of threads changes no bit.
/// </summary>
internal static unsafe class ElementLoop
{
    private const int Piece = 1 << 15, TensorPiece = 1 << 22;

    // So many elements are summed in their own precision before they join a double: rounding stays that of a few dozen additions.
    private const int SumPiece = 256;

    private const int SlotCount = 5, SumCount = 3;

    /// <summary>Runs the rule.</summary>
    /// <param name="rule">The rule with its numbers.</param>
    /// <param name="parameters">Flat, contiguous; as all others.</param>
    /// <param name="gradients">As long as the parameters.</param>
    /// <param name="slots">The slots A, B, …, as long as the parameters.</param>
    /// <param name="ranges">Elements to treat.</param>
    /// <param name="fused">Whether memory is the processor's, fp32 or fp64; else tensor operations are used.</param>
    public static Sums Run<R>(R rule, Tensor parameters, Tensor gradients, Tensor[] slots, IEnumerable<(long Start, long Length)> ranges, bool fused) where R : struct, IElementRule =>
        !fused ? ByTensors(rule, parameters, gradients, slots, ranges)
        : parameters.dtype is ScalarType.Float32 ? Fused<R, float>(rule, parameters, gradients, slots, ranges)
        : Fused<R, double>(rule, parameters, gradients, slots, ranges);

    /// <summary>As <see cref="Run"/>, with tensor operations on any device.</summary>
    public static Sums ByTensors<R>(R rule, Tensor parameters, Tensor gradients, Tensor[] slots, IEnumerable<(long Start, long Length)> ranges) where R : struct, IElementRule
    {
        var sums = default(Sums);
        foreach (var (start, length) in Pieces(ranges, TensorPiece))
        {
            using var scope = NewDisposeScope();
            Tensor part(Tensor whole) => whole.narrow(0, start, length);
            Tensor[] all = [part(parameters), part(gradients), .. slots.Select(part)];
            TensorLanes read(Streams stream, int index) => (R.Reads & stream) != 0 ? new(all[index]) : default;
            var x = new Element<TensorLanes>
            {
                P = read(Streams.Parameter, 0),
                G = read(Streams.Gradient, 1),
                A = read(Streams.A, 2),
                B = read(Streams.B, 3),
                C = read(Streams.C, 4),
                D = read(Streams.D, 5),
                E = read(Streams.E, 6),
            };
            rule.Apply(ref x);
            void write(Streams stream, int index, TensorLanes value)
            {
                if ((R.Writes & stream) != 0) all[index].copy_(value.Tensor);
            }
            write(Streams.Parameter, 0, x.P);
            write(Streams.Gradient, 1, x.G);
            write(Streams.A, 2, x.A);
            write(Streams.B, 3, x.B);
            write(Streams.C, 4, x.C);
            write(Streams.D, 5, x.D);
            write(Streams.E, 6, x.E);
            if ((R.Writes & Streams.Sums) == 0) continue;
            static double sum(TensorLanes lanes) => lanes.Tensor is null ? 0 : lanes.Tensor.to(ScalarType.Float64).sum().item<double>();
            sums += new Sums(sum(x.Sum1), sum(x.Sum2), sum(x.Sum3));
        }
        return sums;
    }

    private static Sums Fused<R, T>(R rule, Tensor parameters, Tensor gradients, Tensor[] slots, IEnumerable<(long Start, long Length)> ranges) where R : struct, IElementRule where T : unmanaged, INumber<T>
    {
        var pieces = Pieces(ranges, Piece).ToArray();
        var (p, g) = (Address<T>(parameters), Address<T>(gradients));
        var memory = new nint[SlotCount];
        for (var i = 0; i < slots.Length; i++) memory[i] = Address<T>(slots[i]);
        var sums = new double[(R.Writes & Streams.Sums) == 0 ? 0 : pieces.Length * SumCount];

        void piece(int index)
        {
            var (start, length) = pieces[index];
            T* at(nint first) => (T*)first + start;
            Span<double> found = stackalloc double[SumCount];
            Go<R, T>(rule, at(p), at(g), at(memory[0]), at(memory[1]), at(memory[2]), at(memory[3]), at(memory[4]), (int)length, found);
            if ((R.Writes & Streams.Sums) != 0) found.CopyTo(sums.AsSpan(index * SumCount));
        }

        if (pieces.Length <= 1)
            for (var i = 0; i < pieces.Length; i++) piece(i);
        else Parallel.For(0, pieces.Length, new ParallelOptions { MaxDegreeOfParallelism = get_num_threads() }, piece);
        GC.KeepAlive(parameters);
        GC.KeepAlive(gradients);
        GC.KeepAlive(slots);

        var total = default(Sums);
        for (var i = 0; i < sums.Length; i += SumCount) total += new Sums(sums[i], sums[i + 1], sums[i + 2]);
        return total;
    }

    /// <summary>Runs the rule over a single short piece of memory.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Go<R, T>(R rule, T* p, T* g, T* a, T* b, T* c, T* d, T* e, int count, Span<double> sums) where R : struct, IElementRule where T : unmanaged, INumber<T>
    {
        var width = Vector<T>.Count;
        var whole = count - count % width;
        for (var from = 0; from < whole; from += SumPiece)
        {
            var to = Math.Min(whole, from + SumPiece);
            Vector<T> first = default, second = default, third = default;
            for (var i = from; i < to; i += width)
            {
                var x = Load<R, T>(p + i, g + i, a + i, b + i, c + i, d + i, e + i);
                rule.Apply(ref x);
                Store<R, T>(in x, p + i, g + i, a + i, b + i, c + i, d + i, e + i);
                if ((R.Writes & Streams.Sums) == 0) continue;
                first += x.Sum1.Vector;
                second += x.Sum2.Vector;
                third += x.Sum3.Vector;
            }
            if ((R.Writes & Streams.Sums) == 0) continue;
            sums[0] += Total(first, width);
            sums[1] += Total(second, width);
            sums[2] += Total(third, width);
        }
        if (whole < count) Rest<R, T>(rule, p + whole, g + whole, a + whole, b + whole, c + whole, d + whole, e + whole, count - whole, sums);
    }

    // The last elements, fewer than a register holds: in a copy filled up with zeros.
    private static void Rest<R, T>(R rule, T* p, T* g, T* a, T* b, T* c, T* d, T* e, int count, Span<double> sums) where R : struct, IElementRule where T : unmanaged, INumber<T>
    {
        const int arrays = 2 + SlotCount;
        var width = Vector<T>.Count;
        var copy = stackalloc T[arrays * width];
        new Span<T>(copy, arrays * width).Clear();
        T*[] sources = [p, g, a, b, c, d, e];
        for (var i = 0; i < arrays; i++)
            if ((R.Reads & (Streams)(1 << i)) != 0) new Span<T>(sources[i], count).CopyTo(new(copy + i * width, width));
        T* at(int i) => copy + i * width;
        var x = Load<R, T>(at(0), at(1), at(2), at(3), at(4), at(5), at(6));
        rule.Apply(ref x);
        Store<R, T>(in x, at(0), at(1), at(2), at(3), at(4), at(5), at(6));
        for (var i = 0; i < arrays; i++)
            if ((R.Writes & (Streams)(1 << i)) != 0) new Span<T>(copy + i * width, count).CopyTo(new(sources[i], count));
        if ((R.Writes & Streams.Sums) == 0) return;
        sums[0] += Total(x.Sum1.Vector, count);
        sums[1] += Total(x.Sum2.Vector, count);
        sums[2] += Total(x.Sum3.Vector, count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Element<Lanes<T>> Load<R, T>(T* p, T* g, T* a, T* b, T* c, T* d, T* e) where R : struct, IElementRule where T : unmanaged, INumber<T>
    {
        Element<Lanes<T>> x = default;
        if ((R.Reads & Streams.Parameter) != 0) x.P = new(Vector.Load(p));
        if ((R.Reads & Streams.Gradient) != 0) x.G = new(Vector.Load(g));
        if ((R.Reads & Streams.A) != 0) x.A = new(Vector.Load(a));
        if ((R.Reads & Streams.B) != 0) x.B = new(Vector.Load(b));
        if ((R.Reads & Streams.C) != 0) x.C = new(Vector.Load(c));
        if ((R.Reads & Streams.D) != 0) x.D = new(Vector.Load(d));
        if ((R.Reads & Streams.E) != 0) x.E = new(Vector.Load(e));
        return x;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store<R, T>(in Element<Lanes<T>> x, T* p, T* g, T* a, T* b, T* c, T* d, T* e) where R : struct, IElementRule where T : unmanaged, INumber<T>
    {
        if ((R.Writes & Streams.Parameter) != 0) Vector.Store(x.P.Vector, p);
        if ((R.Writes & Streams.Gradient) != 0) Vector.Store(x.G.Vector, g);
        if ((R.Writes & Streams.A) != 0) Vector.Store(x.A.Vector, a);
        if ((R.Writes & Streams.B) != 0) Vector.Store(x.B.Vector, b);
        if ((R.Writes & Streams.C) != 0) Vector.Store(x.C.Vector, c);
        if ((R.Writes & Streams.D) != 0) Vector.Store(x.D.Vector, d);
        if ((R.Writes & Streams.E) != 0) Vector.Store(x.E.Vector, e);
    }

    private static double Total<T>(Vector<T> vector, int count) where T : unmanaged, INumber<T>
    {
        var total = 0.0;
        for (var i = 0; i < count; i++) total += double.CreateTruncating(vector[i]);
        return total;
    }

    /// <summary>Address of a tensor's first element; 0 where it has none. The tensor has to be kept alive beside it.</summary>
    public static nint Address<T>(Tensor tensor) where T : unmanaged
    {
        if (tensor.numel() == 0) return 0;
        using var first = tensor.narrow(0, 0, 1);
        return (nint)Unsafe.AsPointer(ref MemoryMarshal.GetReference(first.bytes));
    }

    private static IEnumerable<(long Start, long Length)> Pieces(IEnumerable<(long Start, long Length)> ranges, long most)
    {
        foreach (var (start, length) in ranges)
            for (var at = 0L; at < length; at += most) yield return (start + at, Math.Min(most, length - at));
    }
}
