using static TorchSharp.torch;

namespace Levain.Models;

/// <summary><see cref="LowRankProducts"/> of convolutions that <see cref="Convolution"/> computes: the k×k down shares the weight's windows, forwards and backwards.</summary>
internal static unsafe class LowRankConvolution
{
    // Ranks that lie side by side for a pixel.
    private const int Chunk = Tiles.Columns;

    public static (Tensor Output, Tensor Inner) Forward(Tensor weight, Tensor x, Tensor? bias, Tensor down, Tensor up, float factor)
    {
        x = x.contiguous();
        var output = empty([x.size(0), weight.size(0), x.size(2), x.size(3)]);
        var beside = new Convolution.Beside(new(down), new(up), factor);
        return (output, Convolution.Run(x, weight, bias, output, beside)!);
    }

    public static Tensor? Backward(Tensor weight, Tensor x, Tensor inner, Tensor gradient, LowRankGradients work)
    {
        (x, gradient) = (x.contiguous(), gradient.contiguous());
        var size = new Convolution.Size(weight, x);
        var (images, threads, a, b) = ((int)x.size(0), size.Threads(x), new Matrix(work.Down), new Matrix(work.Up));
        int ranks = a.Rows, chunks = (ranks + Chunk - 1) / Chunk, cells = size.Height * size.Wide;
        var input = work.WantsInput ? empty_like(x) : null;
        var wantsDown = work.DownGradient is not null;
        // f·upᵀ·gradient, [B, r, H·W], and the same for every cell of a plane's rows, [B, chunks, H·wide, 32]; maps with their borders, behind which whole tiles are read.
        using var back = empty([images, ranks, size.Pixels]);
        using var turned = empty([wantsDown ? (long)images * chunks * cells * Chunk : 0]);
        using var padded = empty([wantsDown ? (images * size.Inputs + Tiles.Rows) * size.Plane : 0]);
        float* backs = (float*)TensorMemory.Address(back), lanes = (float*)TensorMemory.Address(turned), planes = (float*)TensorMemory.Address(padded);
        float* maps = (float*)TensorMemory.Address(x), dy = (float*)TensorMemory.Address(gradient), found = (float*)TensorMemory.Address(inner), w = (float*)TensorMemory.Address(weight);
        var dx = input is null ? null : (float*)TensorMemory.Address(input);
        Matrix outs(int image) => new((nint)(dy + (long)image * size.Outputs * size.Pixels), size.Outputs, size.Pixels, size.Pixels, 1);
        Matrix inners(float* memory, int image) => new((nint)(memory + (long)image * ranks * size.Pixels), ranks, size.Pixels, size.Pixels, 1);

        Team.Run(threads, images, image =>
        {
            var into = inners(backs, image);
            Gemm.RunHere(b.Turned, outs(image), into, add: false);
            if (work.Factor != 1) Numbers.Scale(into.At(0, 0), into.At(0, 0), ranks * size.Pixels, work.Factor);
            if (!wantsDown) return;
            for (var chunk = 0; chunk < chunks; chunk++) Cells(into, chunk * Chunk, size, lanes + (long)(image * chunks + chunk) * cells * Chunk);
            Convolution.Pad(maps + (long)image * size.Inputs * size.Pixels, planes + image * size.Inputs * size.Plane, size, size.Inputs, threads: 1);
        });
        if (wantsDown) new Span<float>(planes + images * size.Inputs * size.Plane, (int)(Tiles.Rows * size.Plane)).Clear();

        var way = dx == null ? null : new Convolution.WayBack(size, images, dy, w, dx) { Beside = (a, (nint)backs) };
        var groups = way?.Pieces(threads) ?? 0;
        var ups = work.UpGradient is null ? 0 : Team.Pieces(threads, 1, size.Outputs, Tiles.Columns);
        var downs = wantsDown ? (size.Inputs + Tiles.Rows - 1) / Tiles.Rows : 0;
        Team.Run(threads, groups + downs + ups, piece =>
        {
            if (piece < groups)
            {
                way!.Run(piece);
            }
            else if (piece < groups + downs)
            {
                DownGradient(planes, lanes, new(work.DownGradient!), (images, chunks), (work.First, work.Count), size, (piece - groups) * Tiles.Rows);
            }
            else
            {
                var (first, end) = Team.Piece(piece - groups - downs, ups, size.Outputs, Tiles.Columns);
                var sum = new Matrix(work.UpGradient!).Turned.Part(first, end).Turned;
                for (var image = 0; image < images; image++)
                    Gemm.RunHere(outs(image).Turned.Part(first, end).Turned, inners(found, image).Turned.Part(work.First, work.First + work.Count), sum, add: true);
            }
        });
        foreach (var tensor in (Tensor[])[weight, x, inner, gradient, back, turned, padded]) GC.KeepAlive(tensor);
        work.KeepAlive();
        return input;
    }

    // Up to 32 ranks of every pixel side by side, [H·wide, 32]: zero where there is no rank, or no pixel but a plane's border.
    private static void Cells(Matrix ranks, int first, in Convolution.Size size, float* to)
    {
        new Span<float>(to, size.Height * size.Wide * Chunk).Clear();
        var count = Math.Min(Chunk, ranks.Rows - first);
        for (var y = 0; y < size.Height; y++)
            for (var rank = 0; rank < count; rank++)
            {
                float* from = ranks.At(first + rank, y * size.Width), into = to + (long)y * size.Wide * Chunk + rank;
                for (var i = 0; i < size.Width; i++) into[i * Chunk] = from[i];
            }
    }

    // The gradient of down for eight channels: a tap's is the product of the maps, moved by the tap, and the ranks of all cells.
    private static void DownGradient(float* planes, float* lanes, Matrix sum, (int Images, int Chunks) count, (int First, int Count) ranks, in Convolution.Size size, int channel)
    {
        var tile = stackalloc float[Tiles.Rows * Chunk];
        var (taps, cells, rows) = (size.Side * size.Side, size.Height * size.Wide, Math.Min(Tiles.Rows, size.Inputs - channel));
        for (var chunk = 0; chunk < count.Chunks; chunk++)
        {
            var (from, to) = (Math.Max(ranks.First, chunk * Chunk), Math.Min(ranks.First + ranks.Count, (chunk + 1) * Chunk));
            if (from >= to) continue;
            var vectors = to - chunk * Chunk > Tiles.Lanes ? 2 : 1;
            for (var tap = 0; tap < taps; tap++)
            {
                var moved = planes + channel * size.Plane + tap / size.Side * size.Wide + tap % size.Side;
                for (var image = 0; image < count.Images; image++)
                    Tiles.Product(vectors, cells, moved + image * size.Inputs * size.Plane, (nint)size.Plane, 1, lanes + (long)(image * count.Chunks + chunk) * cells * Chunk, Chunk, tile, Chunk, add: image > 0);
                for (var row = 0; row < rows; row++)
                    for (var rank = from; rank < to; rank++) *sum.At(rank - ranks.First, (channel + row) * taps + tap) += tile[row * Chunk + rank - chunk * Chunk];
            }
        }
    }
}
