using static TorchSharp.torch;

namespace Levain.Models;

/// <summary><see cref="LowRankProducts"/> of linear layers and 1×1 convolutions: a thread takes some tokens or pixels through all products.</summary>
internal static unsafe class LowRankPointwise
{
    public static (Tensor Output, Tensor Inner) Forward(IAdaptableLayer layer, Tensor x, Tensor? bias, Tensor down, Tensor up, float factor)
    {
        var shape = layer.Shape;
        x = LayerOrder.Dense(shape, x);
        var (output, weight, a, b) = (LayerOrder.EmptyLike(shape, x, shape.Out), OfWeight(layer), new Matrix(down), new Matrix(up));
        var (ins, outs) = (new Rows(shape, x), new Rows(shape, output));
        var inner = empty([ins.Maps * ins.Count, a.Rows]);
        var ranks = new Rows(inner, ins.Maps, ins.Count);
        var shifts = bias is null ? null : (float*)TensorMemory.Address(bias);
        Deal(ins, weight, (map, from, to) =>
        {
            var (tokens, some, into) = (ins.Some(map, from, to), ranks.Some(map, from, to), outs.Some(map, from, to));
            Gemm.RunHere(tokens, a.Turned, some, add: false);
            if (factor != 1) Numbers.Scale(some.At(0, 0), some.At(0, 0), some.Rows * some.Columns, factor);
            if (shifts != null) Fill(into, shifts);
            Gemm.RunHere(tokens, weight.Turned, into, add: shifts != null);
            Gemm.RunHere(some, b.Turned, into, add: true);
        });
        foreach (var tensor in (Tensor?[])[x, bias, down, up]) GC.KeepAlive(tensor);
        return (output, inner);
    }

    public static Tensor? Backward(IAdaptableLayer layer, Tensor x, Tensor inner, Tensor gradient, LowRankGradients work)
    {
        var shape = layer.Shape;
        (x, gradient) = (LayerOrder.Dense(shape, x), LayerOrder.Dense(shape, gradient));
        var (weight, a, b) = (OfWeight(layer), new Matrix(work.Down), new Matrix(work.Up));
        var (ins, outs) = (new Rows(shape, x), new Rows(shape, gradient));
        var input = work.WantsInput ? LayerOrder.EmptyLike(shape, gradient, shape.In) : null;
        using var back = empty([ins.Maps * ins.Count, a.Rows]);
        var (ranks, backs, into) = (new Rows(inner, ins.Maps, ins.Count), new Rows(back, ins.Maps, ins.Count), input is null ? outs : new Rows(shape, input));
        var threads = Deal(ins, weight, (map, from, to) =>
        {
            var (tokens, some) = (outs.Some(map, from, to), backs.Some(map, from, to));
            Gemm.RunHere(tokens, b, some, add: false);
            if (work.Factor != 1) Numbers.Scale(some.At(0, 0), some.At(0, 0), some.Rows * some.Columns, work.Factor);
            if (input is null) return;
            var sum = into.Some(map, from, to);
            Gemm.RunHere(tokens, weight, sum, add: false);
            Gemm.RunHere(some, a, sum, add: true);
        });
        var (ups, downs) = (work.UpGradient is null ? 0 : Team.Pieces(threads, 1, (int)shape.Out, Tiles.Columns), work.DownGradient is null ? 0 : Team.Pieces(threads, 1, (int)shape.In, Tiles.Columns));
        Team.Run(threads, ups + downs, piece =>
        {
            var isUp = piece < ups;
            var (first, end) = isUp ? Team.Piece(piece, ups, (int)shape.Out, Tiles.Columns) : Team.Piece(piece - ups, downs, (int)shape.In, Tiles.Columns);
            var sum = new Matrix((isUp ? work.UpGradient : work.DownGradient)!);
            for (var map = 0; map < ins.Maps; map++)
                if (isUp) Gemm.RunHere(outs.All(map).Part(first, end).Turned, ranks.All(map).Part(work.First, work.First + work.Count), sum.Turned.Part(first, end).Turned, add: true);
                else Gemm.RunHere(backs.All(map).Part(work.First, work.First + work.Count).Turned, ins.All(map).Part(first, end), sum.Part(first, end), add: true);
        });
        GC.KeepAlive(x);
        GC.KeepAlive(gradient);
        GC.KeepAlive(inner);
        work.KeepAlive();
        return input;
    }

    // Hands out some rows of all maps at a time; tells how many threads shared them.
    private static int Deal(Rows rows, Matrix weight, Action<int, int, int> take)
    {
        var threads = Team.For((long)rows.Maps * rows.Count * weight.Rows * weight.Columns);
        var pieces = Team.Pieces(threads, rows.Maps, rows.Count, Tiles.Columns);
        Team.Run(threads, rows.Maps * pieces, piece =>
        {
            var (from, to) = Team.Piece(piece % pieces, pieces, rows.Count, Tiles.Columns);
            take(piece / pieces, from, to);
        });
        return threads;
    }

    private static Matrix OfWeight(IAdaptableLayer layer) => new(TensorMemory.Address(layer.Weight), (int)layer.Shape.Out, (int)layer.Shape.In, (nint)layer.Shape.In, 1);

    private static void Fill(Matrix to, float* bias)
    {
        if (to.Column == 1)
            for (var i = 0; i < to.Rows; i++) new Span<float>(bias, to.Columns).CopyTo(new(to.At(i, 0), to.Columns));
        else
            for (var j = 0; j < to.Columns; j++) new Span<float>(to.At(0, j), to.Rows).Fill(bias[j]);
    }

    // Tokens of all pictures, or the pixels of each map: rows of channels.
    private readonly struct Rows
    {
        private readonly Matrix first;
        private readonly nint map;

        public Rows(LayerShape shape, Tensor dense)
        {
            var address = TensorMemory.Address(dense);
            if (shape.Kind == LayerKind.Linear)
            {
                var channels = (int)dense.size(-1);
                Maps = 1;
                first = new(address, (int)(dense.numel() / channels), channels, channels, 1);
                return;
            }
            var (width, pixels) = ((int)dense.size(1), (int)(dense.size(2) * dense.size(3)));
            Maps = (int)dense.size(0);
            map = (nint)pixels * width;
            first = dense.is_contiguous() ? new(address, pixels, width, 1, pixels) : new(address, pixels, width, width, 1);
        }

        /// <summary>Rows of <paramref name="dense"/>, [maps·count, ranks].</summary>
        public Rows(Tensor dense, int maps, int count)
        {
            var width = (int)dense.size(1);
            Maps = maps;
            map = (nint)count * width;
            first = new(TensorMemory.Address(dense), count, width, width, 1);
        }

        public int Maps { get; }

        public int Count => first.Rows;

        public Matrix All(int index) => first with { Memory = first.Memory + index * map * sizeof(float) };

        public Matrix Some(int index, int from, int to) => All(index) with { Memory = (nint)All(index).At(from, 0), Rows = to - from };
    }
}
