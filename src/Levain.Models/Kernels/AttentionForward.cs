using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Levain.Models;

/// <summary>
/// softmax(q·kᵀ/√d)·v block by block, without ever holding the weights: a block's weights stay in the first-level cache between the two products
/// that make and use them.
/// </summary>
/// <remarks>
/// Running maximum and sum as in Milakov and Gimelshein 2018 (https://arxiv.org/abs/1805.02867, algorithm 3), blocks as in Dao et al. 2022
/// (https://arxiv.org/abs/2205.14135, algorithm 1). Queries lie in the lanes of a vector, so that maxima and sums need no steps between lanes.
/// </remarks>
internal static unsafe class AttentionForward
{
    private const int KeyBlock = 128, QueryTiles = 4;

    /// <summary>Queries that are dealt out together.</summary>
    public const int QueryBlock = QueryTiles * Tiles.Columns;

    /// <summary>log₂e: powers of two are cheaper than powers of e.</summary>
    public const float Log2E = 1.44269504088896341f;

    /// <summary>Pieces of work per thread, so that no thread waits long for the others.</summary>
    private const int PiecesPerThread = 4;

    /// <summary>Fills <paramref name="mixed"/>.</summary>
    /// <param name="sums">Receives log₂ Σ 2^(score·log₂e) of each query, [B·heads, N], for the way back; null where none follows.</param>
    public static void Run(HeadRows q, HeadRows k, HeadRows v, HeadRows mixed, float* sums)
    {
        var blocks = (q.Tokens + QueryBlock - 1) / QueryBlock;
        var threads = Team.For(2L * q.Count * q.Tokens * k.Tokens * q.Width);
        var splits = Math.Clamp((PiecesPerThread * threads + q.Count - 1) / q.Count, 1, blocks);
        var bf16 = q.SuitsBf16 && k.SuitsBf16 && v.SuitsBf16;
        Team.Run(threads, q.Count * splits, piece =>
        {
            var (head, part) = (piece / splits, piece % splits);
            var (fromBlock, toBlock) = (blocks * part / splits, blocks * (part + 1) / splits);
            if (bf16) Bf16AttentionForward.Head(q, k, v, mixed, sums, head, fromBlock, toBlock);
            else Head(q, k, v, mixed, sums, head, fromBlock, toBlock);
        });
    }

    private static void Head(HeadRows q, HeadRows k, HeadRows v, HeadRows mixed, float* sums, int head, int fromBlock, int toBlock)
    {
        var (keys, width, wide) = (k.Tokens, q.Width, Tiles.RoundUp(q.Width, Tiles.Lanes));
        int rows = Tiles.RoundUp(keys, Tiles.Rows), columns = Tiles.RoundUp(width, Tiles.Rows);
        var scratch = Scratch.Of(HeadRows.Room(rows, width) + HeadRows.Room(keys, columns) + QueryBlock * (width + wide + 2) + KeyBlock * Tiles.Columns + HeadRows.GroupRoom(width));
        var (kRows, kStride) = k.Rows(head, scratch, rows, width);
        var (vRows, vStride) = v.Rows(head, scratch, keys, columns);
        float* kAt = (float*)kRows, vAt = (float*)vRows;
        float* qLanes = scratch.Cut(QueryBlock * width), sum = scratch.Cut(QueryBlock * wide), weights = scratch.Cut(KeyBlock * Tiles.Columns);
        float* largest = scratch.Cut(QueryBlock), total = scratch.Cut(QueryBlock), room = scratch.Cut(HeadRows.GroupRoom(width));
        var factor = Log2E / MathF.Sqrt(width);

        for (var block = fromBlock; block < toBlock; block++)
        {
            var first = block * QueryBlock;
            var count = Math.Min(QueryBlock, q.Tokens - first);
            q.Groups(head, first, count, qLanes, room, factor);
            new Span<float>(sum, QueryBlock * wide).Clear();
            new Span<float>(total, QueryBlock).Clear();
            new Span<float>(largest, QueryBlock).Fill(float.NegativeInfinity);
            for (var key = 0; key < keys; key += KeyBlock)
            {
                var some = Math.Min(KeyBlock, keys - key);
                for (var at = 0; at < count; at += Tiles.Columns)
                {
                    for (var j = 0; j < some; j += Tiles.Rows)
                        Tiles.Product(2, width, kAt + (key + j) * kStride, kStride, 1, qLanes + at * width, Tiles.Columns, weights + j * Tiles.Columns, Tiles.Columns, add: false);
                    Soften(weights, some, largest + at, total + at, sum + at * wide, width);
                    for (var c = 0; c < width; c += Tiles.Rows)
                        Tiles.Product(2, some, vAt + key * vStride + c, 1, vStride, weights, Tiles.Columns, sum + at * wide + c * Tiles.Columns, Tiles.Columns, add: true);
                }
            }
            for (var i = 0; i < count; i++)
            {
                if (sums != null) sums[(long)head * q.Tokens + first + i] = largest[i] + MathF.Log2(total[i]);
                total[i] = 1 / total[i];
            }
            for (var at = 0; at < count; at += Tiles.Columns)
                mixed.Ungroup(head, first + at, Math.Min(Tiles.Columns, count - at), sum + at * wide, Tiles.Columns, room, total + at);
        }
    }

    // Scores of 32 queries for a block of keys, [keys, 32], become weights; what was summed before shrinks where a larger score appears.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Soften(float* scores, int keys, float* largest, float* total, float* sum, int width)
    {
        var (before0, before1) = (Tiles.At(largest, 0), Tiles.At(largest, 1));
        var (top0, top1) = (before0, before1);
        for (var j = 0; j < keys; j++)
        {
            top0 = Vector512.MaxNative(top0, Tiles.At(scores, 2 * j));
            top1 = Vector512.MaxNative(top1, Tiles.At(scores, 2 * j + 1));
        }
        Vector512<float> sum0 = default, sum1 = default;
        for (var j = 0; j < keys; j++)
        {
            var (weight0, weight1) = (Tiles.PowerOfTwo(Tiles.At(scores, 2 * j) - top0), Tiles.PowerOfTwo(Tiles.At(scores, 2 * j + 1) - top1));
            (sum0, sum1) = (sum0 + weight0, sum1 + weight1);
            Tiles.Put(weight0, scores, 2 * j);
            Tiles.Put(weight1, scores, 2 * j + 1);
        }
        Carry(Tiles.PowerOfTwo(before0 - top0), top0, sum0, largest, total, sum, Tiles.Columns, width);
        Carry(Tiles.PowerOfTwo(before1 - top1), top1, sum1, largest + Tiles.Lanes, total + Tiles.Lanes, sum + Tiles.Lanes, Tiles.Columns, width);
    }

    /// <summary>Takes a block of keys into what 16 queries have summed before, which shrinks where a larger score appeared.</summary>
    /// <param name="shrink">By how much.</param>
    /// <param name="top">The largest scores now.</param>
    /// <param name="weights">Sums of the block's weights.</param>
    /// <param name="stride">From one of <paramref name="width"/> channels in <paramref name="sum"/> to the next.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Carry(Vector512<float> shrink, Vector512<float> top, Vector512<float> weights, float* largest, float* total, float* sum, nint stride, int width)
    {
        if (Vector512.EqualsAll(Tiles.At(largest, 0), top))
        {
            Tiles.Put(Tiles.At(total, 0) + weights, total, 0);      // a coarse power of two makes little less than 1 of 0
            return;
        }
        Tiles.Put(Vector512.FusedMultiplyAdd(Tiles.At(total, 0), shrink, weights), total, 0);
        Tiles.Put(top, largest, 0);
        for (var c = 0; c < width; c++, sum += stride) Tiles.Put(Tiles.At(sum, 0) * shrink, sum, 0);
    }
}
