using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Levain.Models;

/// <summary>Gradients of <see cref="AttentionForward"/>: weights are computed again, a block at a time, from the saved sums.</summary>
/// <remarks>Dao et al. 2022, https://arxiv.org/abs/2205.14135, algorithm 4: dS = P∘(dP − Σ dy∘y). Keys lie in the lanes.</remarks>
internal static unsafe class AttentionBackward
{
    private const int KeyTiles = 4, QueryBlock = 64;

    /// <summary>Keys that are dealt out together.</summary>
    public const int KeyBlock = KeyTiles * Tiles.Columns;

    // A row that is not there: its weights are 2 to the power of minus this.
    private const float Absent = 1e30f;

    /// <summary>What goes in and what comes out.</summary>
    /// <param name="Mixed">The forward pass's result.</param>
    /// <param name="Sums">Address of what the forward pass gave as such.</param>
    /// <param name="Gradient">The result's gradient.</param>
    /// <param name="Dk">Receives the gradient of the keys, as <paramref name="Dq"/> and <paramref name="Dv"/> those of queries and values; what <paramref name="Wanted"/> leaves out is not touched.</param>
    internal sealed record Work(HeadRows Q, HeadRows K, HeadRows V, HeadRows Mixed, nint Sums, HeadRows Gradient, HeadRows Dq, HeadRows Dk, HeadRows Dv, (bool Q, bool K, bool V) Wanted);

    /// <summary>Fills the gradients that are wanted.</summary>
    public static void Run(Work work)
    {
        var (heads, queries) = (work.Q.Count, work.Q.Tokens);
        var blocks = (work.K.Tokens + KeyBlock - 1) / KeyBlock;
        var threads = Team.For(5L * heads * queries * work.K.Tokens * work.Q.Width);
        var splits = Team.Pieces(threads, heads, blocks, 1);
        var size = (long)Tiles.RoundUp(queries, Tiles.Rows) * Tiles.RoundUp(work.Q.Width, Tiles.Lanes);
        var bf16 = work.Q.SuitsBf16 && work.K.SuitsBf16 && work.V.SuitsBf16 && work.Gradient.SuitsBf16;
        var partials = splits > 1 && work.Wanted.Q ? new float[splits * heads * size] : [];
        fixed (float* partial = partials)
        {
            var memory = (nint)partial;
            Team.Run(threads, heads * splits, piece =>
            {
                var (head, part) = (piece / splits, piece % splits);
                var (fromBlock, toBlock) = Team.Piece(part, splits, blocks, 1);
                var into = memory == 0 ? null : (float*)memory + piece * size;
                if (bf16) Bf16AttentionBackward.Head(work, head, fromBlock, toBlock, into);
                else Head(work, head, fromBlock, toBlock, into);
            });
            if (memory != 0) Team.Run(threads, heads, head => Sum(work, head, (float*)memory + head * splits * size, splits, size));
        }
    }

    // The query gradients that several pieces found for one head.
    private static void Sum(Work work, int head, float* partial, int splits, long size)
    {
        for (var part = 1; part < splits; part++)
            for (var i = 0L; i < size; i += Tiles.Lanes) (Vector512.Load(partial + i) + Vector512.Load(partial + part * size + i)).Store(partial + i);
        WriteQueries(work, head, partial);
    }

    /// <summary>Gives a head's query gradients, [N, d rounded up to sixteens], out.</summary>
    public static void WriteQueries(Work work, int head, float* dq)
    {
        var (width, factor) = (Tiles.RoundUp(work.Q.Width, Tiles.Lanes), 1 / MathF.Sqrt(work.Q.Width));
        for (var i = 0; i < work.Q.Tokens; i++) work.Dq.Write(head, i, dq + (long)i * width, factor);
    }

    private static void Head(Work work, int head, int fromBlock, int toBlock, float* partial)
    {
        var (queries, keys) = (work.Q.Tokens, work.K.Tokens);
        var room = new Room(work, head, partial);
        for (var block = fromBlock; block < toBlock; block++)
        {
            var first = block * KeyBlock;
            var count = Math.Min(KeyBlock, keys - first);
            room.Keys(work, head, first, count);
            for (var query = 0; query < queries; query += QueryBlock)
            {
                var rows = Math.Min(QueryBlock, room.Rows - query);
                for (var at = 0; at < count; at += Tiles.Columns) Block(work, room, query, rows, at, count - at);
            }
            for (var at = 0; at < count; at += Tiles.Columns)
            {
                var some = Math.Min(Tiles.Columns, count - at);
                if (work.Wanted.K) work.Dk.Ungroup(head, first + at, some, room.Dk + at * room.Wide, Tiles.Columns, room.Work, room.Factors);
                if (work.Wanted.V) work.Dv.Ungroup(head, first + at, some, room.Dv + at * room.Wide, Tiles.Columns, room.Work, room.Ones);
            }
        }
        if (work.Wanted.Q && partial == null) WriteQueries(work, head, room.Dq);
    }

    // A block of queries and 32 keys.
    private static void Block(Work work, in Room room, int query, int rows, int at, int keys)
    {
        var (width, wide) = (work.Q.Width, room.Wide);
        for (var i = 0; i < rows; i += Tiles.Rows)
            Tiles.Product(2, width, room.Q + (query + i) * room.QStride, room.QStride, 1, room.KLanes + at * width, Tiles.Columns, room.Weights + i * Tiles.Columns, Tiles.Columns, add: false);
        Weigh(room.Weights, room.Sums + query, rows, keys);
        if (work.Wanted.V)
            for (var c = 0; c < width; c += Tiles.Rows)
                Tiles.Product(2, rows, room.Dy + query * room.DyStride + c, 1, room.DyStride, room.Weights, Tiles.Columns, room.Dv + at * wide + c * Tiles.Columns, Tiles.Columns, add: true);
        if (!work.Wanted.Q && !work.Wanted.K) return;
        for (var i = 0; i < rows; i += Tiles.Rows)
            Tiles.Product(2, width, room.Dy + (query + i) * room.DyStride, room.DyStride, 1, room.VLanes + at * width, Tiles.Columns, room.Slopes + i * Tiles.Columns, Tiles.Columns, add: false);
        Slope(room.Slopes, room.Weights, room.Dots + query, rows);
        if (work.Wanted.K)
            for (var c = 0; c < width; c += Tiles.Rows)
                Tiles.Product(2, rows, room.Q + query * room.QStride + c, 1, room.QStride, room.Slopes, Tiles.Columns, room.Dk + at * wide + c * Tiles.Columns, Tiles.Columns, add: true);
        if (!work.Wanted.Q) return;
        for (var c = 0; c < wide; c += Tiles.Columns)
        {
            var vectors = Math.Min(2, (wide - c) / Tiles.Lanes);
            for (var i = 0; i < rows; i += Tiles.Rows)
                Tiles.Product(vectors, Tiles.Columns, room.Slopes + i * Tiles.Columns, Tiles.Columns, 1, room.KRows + at * wide + c, wide, room.Dq + (long)(query + i) * wide + c, wide, add: true);
        }
    }

    // Scores [rows, 32] become weights; keys that are not there weigh nothing.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Weigh(float* scores, float* sums, int rows, int keys)
    {
        var lane = Vector512.CreateSequence(0f, 1f);
        var (there0, there1) = (Vector512.LessThan(lane, Vector512.Create((float)keys)), Vector512.LessThan(lane, Vector512.Create((float)keys - Tiles.Lanes)));
        for (var i = 0; i < rows; i++)
        {
            var sum = Vector512.Create(sums[i]);
            Tiles.Put(Tiles.PowerOfTwo(Tiles.At(scores, 2 * i) - sum) & there0, scores, 2 * i);
            Tiles.Put(Tiles.PowerOfTwo(Tiles.At(scores, 2 * i + 1) - sum) & there1, scores, 2 * i + 1);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Slope(float* slopes, float* weights, float* dots, int rows)
    {
        for (var i = 0; i < rows; i++)
        {
            var dot = Vector512.Create(dots[i]);
            Tiles.Put((Tiles.At(slopes, 2 * i) - dot) * Tiles.At(weights, 2 * i), slopes, 2 * i);
            Tiles.Put((Tiles.At(slopes, 2 * i + 1) - dot) * Tiles.At(weights, 2 * i + 1), slopes, 2 * i + 1);
        }
    }

    /// <summary>Working memory of one head.</summary>
    private readonly struct Room
    {
        public readonly int Rows, Wide;
        public readonly nint QStride, DyStride;
        public readonly float* Q, Dy, Sums, Dots, Dq, KLanes, VLanes, KRows, Dk, Dv, Weights, Slopes, Work, Factors, Ones;

        public Room(Work work, int head, float* partial)
        {
            var (queries, width) = (work.Q.Tokens, work.Q.Width);
            (Rows, Wide) = (Tiles.RoundUp(queries, Tiles.Rows), Tiles.RoundUp(width, Tiles.Lanes));
            var columns = Tiles.RoundUp(width, Tiles.Rows);
            long gradient = (long)Rows * Wide, lanes = KeyBlock * width, sums = KeyBlock * Wide, block = QueryBlock * Tiles.Columns;
            var scratch = Scratch.Of(3 * HeadRows.Room(Rows, columns) + 2 * Scratch.Whole(Rows) + gradient + 2 * lanes + 3 * sums + 2 * block + HeadRows.GroupRoom(width) + 2 * Tiles.Columns);
            (var q, QStride) = work.Q.Rows(head, scratch, Rows, columns);
            (var dy, DyStride) = work.Gradient.Rows(head, scratch, Rows, columns);
            var (y, yStride) = work.Mixed.Rows(head, scratch, Rows, columns);
            Q = (float*)q;
            Dy = (float*)dy;
            Sums = scratch.Cut(Rows);
            Dots = scratch.Cut(Rows);
            Dq = partial == null ? scratch.Cut(gradient) : partial;
            KLanes = scratch.Cut(lanes);
            VLanes = scratch.Cut(lanes);
            KRows = scratch.Cut(sums);
            Dk = scratch.Cut(sums);
            Dv = scratch.Cut(sums);
            Weights = scratch.Cut(block);
            Slopes = scratch.Cut(block);
            Work = scratch.Cut(HeadRows.GroupRoom(width));
            Factors = scratch.Cut(Tiles.Columns);
            Ones = scratch.Cut(Tiles.Columns);

            new Span<float>(Factors, Tiles.Columns).Fill(1 / MathF.Sqrt(width));
            new Span<float>(Ones, Tiles.Columns).Fill(1);
            for (var i = 0; i < Rows; i++)
            {
                Sums[i] = i < queries ? ((float*)work.Sums)[(long)head * queries + i] : Absent;
                Dots[i] = i < queries ? Numbers.Dot((float*)y + i * yStride, Dy + i * DyStride, width) : 0;
            }
            new Span<float>(Dq, checked((int)gradient)).Clear();
        }

        /// <summary>Takes a block of keys and values up and begins their gradients.</summary>
        public void Keys(Work work, int head, int first, int count)
        {
            var width = work.Q.Width;
            work.K.Groups(head, first, count, KLanes, Work, AttentionForward.Log2E / MathF.Sqrt(width));
            work.V.Groups(head, first, count, VLanes, Work, 1);
            work.K.Copy(head, first, count, KRows, Tiles.RoundUp(count, Tiles.Columns), Wide);
            new Span<float>(Dk, KeyBlock * Wide).Clear();
            new Span<float>(Dv, KeyBlock * Wide).Clear();
        }
    }
}
