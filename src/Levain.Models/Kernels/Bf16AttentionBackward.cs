using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Levain.Models;

/// <summary><see cref="AttentionBackward"/> for bf16: its five products in bf16 with fp32 sums, weights and slopes between them in fp32.</summary>
internal static unsafe class Bf16AttentionBackward
{
    private const int QueryBlock = 64, Group = 2 * Tiles.Columns;

    /// <summary>Some blocks of <see cref="AttentionBackward.KeyBlock"/> keys of one head.</summary>
    public static void Head(AttentionBackward.Work work, int head, int fromBlock, int toBlock, float* partial)
    {
        var (queries, keys) = (work.Q.Tokens, work.K.Tokens);
        var room = new Room(work, head, partial);
        var end = Math.Min(keys, toBlock * AttentionBackward.KeyBlock);
        for (var first = fromBlock * AttentionBackward.KeyBlock; first < end; first += Group)
        {
            var count = Math.Min(Group, end - first);
            room.Keys(work, head, first, count);
            for (var query = 0; query < queries; query += QueryBlock) Block(work, room, head, query, Math.Min(QueryBlock, queries - query), count);
            for (var at = 0; at < count; at += Tiles.Columns)
            {
                var some = Math.Min(Tiles.Columns, count - at);
                if (work.Wanted.K) work.Dk.Ungroup(head, first + at, some, room.Dk + at, Group, room.Work, room.Factors);
                if (work.Wanted.V) work.Dv.Ungroup(head, first + at, some, room.Dv + at, Group, room.Work, room.Ones);
            }
        }
        if (work.Wanted.Q && partial == null) AttentionBackward.WriteQueries(work, head, room.Dq);
        Bf16Product.Release();
    }

    // A block of queries and a group of keys.
    private static void Block(AttentionBackward.Work work, in Room room, int head, int query, int rows, int keys)
    {
        var (width, depth) = (work.Q.Width, Tiles.RoundUp(rows, 2));
        Bf16Product.Run(rows, Group, width, work.Q.At(head, query), work.Q.Stride, room.KPairs, Group, room.Weights, Group, add: false);
        Weigh(room.Weights, room.Pairs, AttentionForward.Log2E / MathF.Sqrt(width), room.Sums + query, rows, keys);
        if (work.Wanted.V) Bf16Product.Run(width, Group, depth, room.DyTurned + query, room.Columns, room.Pairs, Group, room.Dv, Group, add: true);
        if (!work.Wanted.Q && !work.Wanted.K) return;
        Bf16Product.Run(rows, Group, width, work.Gradient.At(head, query), work.Gradient.Stride, room.VPairs, Group, room.Slopes, Group, add: false);
        Slope(room.Slopes, room.Weights, room.Pairs, room.Rows, room.Dots + query, rows);
        if (work.Wanted.K) Bf16Product.Run(width, Group, depth, room.QTurned + query, room.Columns, room.Pairs, Group, room.Dk, Group, add: true);
        if (work.Wanted.Q) Bf16Product.Run(rows, width, Tiles.RoundUp(keys, 2), room.Rows, Group, room.KRowPairs, width, room.Dq + (long)query * room.Wide, room.Wide, add: true);
    }

    // Scores [rows, 64] become weights, also in pairs of rows; keys that are not there weigh nothing.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Weigh(float* scores, uint* pairs, float factor, float* sums, int rows, int keys)
    {
        var scale = Vector512.Create(factor);
        for (var part = 0; part < Group; part += Tiles.Lanes)
        {
            var there = Vector512.LessThan(Vector512.CreateSequence(part, 1f), Vector512.Create((float)keys));
            float* at = scores + part;
            var to = pairs + part;
            for (var i = 0; i < rows; i += 2, at += 2 * Group, to += Group)
            {
                var even = Tiles.CoarsePowerOfTwo(Vector512.FusedMultiplyAdd(Tiles.At(at, 0), scale, Vector512.Create(-sums[i]))) & there;
                Tiles.Put(even, at, 0);
                Vector512<float> odd = default;
                if (i + 1 < rows)
                {
                    odd = Tiles.CoarsePowerOfTwo(Vector512.FusedMultiplyAdd(Tiles.At(at + Group, 0), scale, Vector512.Create(-sums[i + 1]))) & there;
                    Tiles.Put(odd, at + Group, 0);
                }
                Bf16Product.Pair(even, odd).Store(to);
            }
        }
    }

    // Slopes [rows, 64] in bf16: in pairs of rows and row by row.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Slope(float* slopes, float* weights, uint* pairs, ushort* to, float* dots, int rows)
    {
        for (var i = 0; i < rows; i += 2)
        {
            Vector512<float> dot = Vector512.Create(dots[i]), next = Vector512.Create(dots[Math.Min(i + 1, rows - 1)]);
            for (var part = 0; part < Group; part += Tiles.Lanes)
            {
                var at = (long)i * Group + part;
                var even = Bf16Product.Rounded((Vector512.Load(slopes + at) - dot) * Vector512.Load(weights + at)) >> Bf16Product.Shift;
                Avx512F.ConvertToVector256UInt16(even).Store(to + at);
                var odd = Vector512<uint>.Zero;
                if (i + 1 < rows)
                {
                    odd = Bf16Product.Rounded((Vector512.Load(slopes + at + Group) - next) * Vector512.Load(weights + at + Group)) >> Bf16Product.Shift;
                    Avx512F.ConvertToVector256UInt16(odd).Store(to + at + Group);
                }
                (even | (odd << Bf16Product.Shift)).Store(pairs + (long)i / 2 * Group + part);
            }
        }
    }

    /// <summary>Working memory of one head.</summary>
    private readonly struct Room
    {
        public readonly int Columns, Wide;
        public readonly ushort* QTurned, DyTurned, Rows;
        public readonly uint* KPairs, VPairs, KRowPairs, Pairs;
        public readonly float* Sums, Dots, Dq, Dk, Dv, Weights, Slopes, Work, Factors, Ones;

        public Room(AttentionBackward.Work work, int head, float* partial)
        {
            var (queries, width) = (work.Q.Tokens, work.Q.Width);
            (Columns, Wide) = (Tiles.RoundUp(queries, Tiles.Lanes), Tiles.RoundUp(width, Tiles.Lanes));
            var units = Tiles.RoundUp(width / 2, Tiles.Lanes);
            long turned = (long)width * Columns / 2, gradient = (long)Tiles.RoundUp(queries, Tiles.Rows) * Wide, room = Math.Max(Math.Max(HeadRows.GroupRoom(width), Bf16HeadRows.Room(width)), 2 * Wide);
            var scratch = Scratch.Of(2 * Scratch.Whole(turned) + 2 * Scratch.Whole(queries) + gradient + 2 * units * Group + Group / 2 * Scratch.Whole(width) + 2 * Wide * Group
                + (2 * QueryBlock + QueryBlock) * Group + Scratch.Whole(room) + 2 * Tiles.Columns);
            QTurned = (ushort*)scratch.Cut(turned);
            DyTurned = (ushort*)scratch.Cut(turned);
            Sums = (float*)work.Sums + (long)head * queries;
            Dots = scratch.Cut(queries);
            Dq = partial == null ? scratch.Cut(gradient) : partial;
            KPairs = (uint*)scratch.Cut(units * Group);
            VPairs = (uint*)scratch.Cut(units * Group);
            KRowPairs = (uint*)scratch.Cut(Group / 2 * width);
            Dk = scratch.Cut(Wide * Group);
            Dv = scratch.Cut(Wide * Group);
            Weights = scratch.Cut(QueryBlock * Group);
            Slopes = scratch.Cut(QueryBlock * Group);
            Pairs = (uint*)scratch.Cut(QueryBlock / 2 * Group);
            Rows = (ushort*)scratch.Cut(QueryBlock / 2 * Group);
            Work = scratch.Cut(room);
            Factors = scratch.Cut(Tiles.Columns);
            Ones = scratch.Cut(Tiles.Columns);

            new Span<float>(Factors, Tiles.Columns).Fill(1 / MathF.Sqrt(width));
            new Span<float>(Ones, Tiles.Columns).Fill(1);
            new Span<float>(Dq, checked((int)gradient)).Clear();
            work.Q.Turn(head, QTurned, Columns, Work);
            work.Gradient.Turn(head, DyTurned, Columns, Work);
            float* y = Work, dy = Work + Wide;
            for (var i = 0; i < queries; i++)
            {
                work.Mixed.Read(head, i, y, Wide, 1);
                work.Gradient.Read(head, i, dy, Wide, 1);
                Dots[i] = Numbers.Dot(y, dy, width);
            }
        }

        /// <summary>Takes a group of keys and values up and begins their gradients.</summary>
        public void Keys(AttentionBackward.Work work, int head, int first, int count)
        {
            work.K.Pairs(head, first, count, KPairs, Group, Work);
            work.V.Pairs(head, first, count, VPairs, Group, Work);
            work.K.RowPairs(head, first, count, KRowPairs);
            new Span<float>(Dk, Wide * Group).Clear();
            new Span<float>(Dv, Wide * Group).Clear();
        }
    }
}
