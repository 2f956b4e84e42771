using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Levain.Models;

/// <summary><see cref="AttentionForward"/> for bf16: both products in bf16 with fp32 sums, the weights between them made in fp32.</summary>
internal static unsafe class Bf16AttentionForward
{
    private const int KeyBlock = 128, Group = 2 * Tiles.Columns;

    /// <summary>Some blocks of <see cref="AttentionForward.QueryBlock"/> queries of one head.</summary>
    public static void Head(HeadRows q, HeadRows k, HeadRows v, HeadRows mixed, float* sums, int head, int fromBlock, int toBlock)
    {
        const int QueryBlock = AttentionForward.QueryBlock;
        var (keys, width, wide) = (k.Tokens, q.Width, Tiles.RoundUp(q.Width, Tiles.Lanes));
        var (columns, units) = (Tiles.RoundUp(keys, Tiles.Lanes), Tiles.RoundUp(width / 2, Tiles.Lanes));
        var room = Math.Max(HeadRows.GroupRoom(width), Bf16HeadRows.Room(width));
        var scratch = Scratch.Of(Scratch.Whole((long)width * columns / 2) + QueryBlock * (units + wide + 2) + KeyBlock * Group + KeyBlock / 2 * Group + Scratch.Whole(room));
        var vTurned = (ushort*)scratch.Cut((long)width * columns / 2);
        uint* queries = (uint*)scratch.Cut(QueryBlock * units), pairs = (uint*)scratch.Cut(KeyBlock / 2 * Group);
        float* sum = scratch.Cut(QueryBlock * wide), scores = scratch.Cut(KeyBlock * Group);
        float* largest = scratch.Cut(QueryBlock), total = scratch.Cut(QueryBlock), work = scratch.Cut(room);
        var factor = AttentionForward.Log2E / MathF.Sqrt(width);
        v.Turn(head, vTurned, columns, work);

        for (var block = fromBlock; block < toBlock; block++)
        {
            var first = block * QueryBlock;
            var count = Math.Min(QueryBlock, q.Tokens - first);
            for (var at = 0; at < count; at += Group) q.Pairs(head, first + at, Math.Min(Group, count - at), queries + at * units, Group, work);
            new Span<float>(sum, QueryBlock * wide).Clear();
            new Span<float>(total, QueryBlock).Clear();
            new Span<float>(largest, QueryBlock).Fill(float.NegativeInfinity);
            for (var key = 0; key < keys; key += KeyBlock)
            {
                var some = Math.Min(KeyBlock, keys - key);
                for (var at = 0; at < count; at += Group)
                {
                    Bf16Product.Run(some, Group, width, k.At(head, key), k.Stride, queries + at * units, Group, scores, Group, add: false);
                    for (var part = 0; part < Group; part += Tiles.Columns)
                        Soften(scores + part, some, factor, pairs + part, largest + at + part, total + at + part, sum + at * wide + part, width);
                    Bf16Product.Run(width, Group, Tiles.RoundUp(some, 2), vTurned + key, columns, pairs, Group, sum + at * wide, Group, add: true);
                }
            }
            for (var i = 0; i < count; i++)
            {
                if (sums != null) sums[(long)head * q.Tokens + first + i] = largest[i] + MathF.Log2(total[i]);
                total[i] = 1 / total[i];
            }
            for (var at = 0; at < count; at += Tiles.Columns)
                mixed.Ungroup(head, first + at, Math.Min(Tiles.Columns, count - at), sum + at / Group * Group * wide + at % Group, Group, work, total + at);
        }
        Bf16Product.Release();
    }

    // Scores of 32 queries for a block of keys become weights in pairs of keys; what was summed before shrinks where a larger score appears.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Soften(float* scores, int keys, float factor, uint* pairs, float* largest, float* total, float* sum, int width)
    {
        var (before0, before1) = (Tiles.At(largest, 0), Tiles.At(largest, 1));
        Vector512<float> top0 = Tiles.At(scores, 0), top1 = Tiles.At(scores, 1);
        for (var score = scores + Group; score < scores + keys * Group; score += Group)
        {
            top0 = Vector512.MaxNative(top0, Tiles.At(score, 0));
            top1 = Vector512.MaxNative(top1, Tiles.At(score, 1));
        }
        var scale = Vector512.Create(factor);
        (top0, top1) = (Vector512.MaxNative(before0, top0 * scale), Vector512.MaxNative(before1, top1 * scale));
        Vector512<float> sum0 = default, sum1 = default;
        var at = scores;
        for (var j = 0; j < keys - 1; j += 2, at += 2 * Group, pairs += Group)
        {
            var (even, odd) = (Weight(at, 0, scale, top0), Weight(at + Group, 0, scale, top0));
            sum0 += even + odd;
            Bf16Product.Pair(even, odd).Store(pairs);
            (even, odd) = (Weight(at, 1, scale, top1), Weight(at + Group, 1, scale, top1));
            sum1 += even + odd;
            Bf16Product.Pair(even, odd).Store(pairs + Tiles.Lanes);
        }
        if (keys % 2 != 0)
        {
            var (last0, last1) = (Weight(at, 0, scale, top0), Weight(at, 1, scale, top1));
            (sum0, sum1) = (sum0 + last0, sum1 + last1);
            Bf16Product.Pair(last0, default).Store(pairs);
            Bf16Product.Pair(last1, default).Store(pairs + Tiles.Lanes);
        }
        AttentionForward.Carry(Tiles.CoarsePowerOfTwo(before0 - top0), top0, sum0, largest, total, sum, Group, width);
        AttentionForward.Carry(Tiles.CoarsePowerOfTwo(before1 - top1), top1, sum1, largest + Tiles.Lanes, total + Tiles.Lanes, sum + Tiles.Lanes, Group, width);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Weight(float* scores, int index, Vector512<float> scale, Vector512<float> top) =>
        Tiles.CoarsePowerOfTwo(Vector512.FusedMultiplyAdd(Tiles.At(scores, index), scale, -top));
}
