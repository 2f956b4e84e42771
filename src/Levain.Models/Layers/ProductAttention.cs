using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>
/// Attention as matrix products over blocks of queries, for machines on which <see cref="MatrixProduct"/> has a faster way than the BLAS inside
/// libtorch's own. Weights are computed again in the backward pass, so that no more than a block of them is ever held.
/// </summary>
/// <remarks>Blocks and recomputation as in Rabe and Staats 2021, https://arxiv.org/abs/2112.05682, over queries only: a row of weights fits.</remarks>
internal sealed class ProductAttention : autograd.SingleTensorFunction<ProductAttention>
{
    private const string Key = "attention";

    // Weights of one block, about 32 MB: larger ones leave the cache, smaller ones prepare k and v anew too often.
    private const long BlockWeights = 1 << 23;
    private const long Rows = 16;

    // The engine takes what backward returns without owning it: they stay alive until the next node's turn.
    [ThreadStatic] private static List<Tensor>? handedOver;

    /// <inheritdoc/>
    public override string Name => nameof(ProductAttention);

    /// <summary>Whether it is the faster way for queries and keys of these sizes, [B, heads, N or M, d].</summary>
    public static bool Suits(Tensor q, Tensor k) =>
        q.shape[2] % Rows == 0 && MatrixProduct.IsConvolution(q, q.shape[2], k.shape[2], q.shape[3]);

    /// <summary>[B, heads, N, d] of the same; the caller's scope owns it.</summary>
    public static Tensor Run(Tensor q, Tensor k, Tensor v) => is_grad_enabled() && (q.requires_grad || k.requires_grad || v.requires_grad)
        ? apply([new Work(), q, k, v])
        : Forward(new(q, k, v));

    /// <inheritdoc/>
    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var work = (Work)vars[0];
        var (q, k, v) = ((Tensor)vars[1], (Tensor)vars[2], (Tensor)vars[3]);
        ctx.save_data(Key, work);
        (work.Saved, work.Wanted) = (new(q, k, v), (q.requires_grad, k.requires_grad, v.requires_grad));
        work.Saved.Keep();
        var mixed = Forward(work.Saved);
        work.Mixed = mixed.alias().DetachFromDisposeScope();
        return mixed;
    }

    /// <inheritdoc/>
    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor gradient)
    {
        var handed = handedOver ??= [];
        handed.ForEach(tensor => tensor.Dispose());
        handed.Clear();
        var work = (Work)ctx.get_data(Key);
        var (dq, dk, dv) = Backward(work, gradient);
        foreach (var one in (Tensor?[])[dq, dk, dv])
            if (one is not null) handed.Add(one.DetachFromDisposeScope());
        work.Dispose();
        gradient.Dispose();
        return [null!, dq!, dk!, dv!];
    }

    private static Tensor Forward(Heads heads)
    {
        using var scope = NewDisposeScope();
        var mixed = empty([heads.Batch, heads.Tokens, heads.Count, heads.Width], dtype: heads.Q.dtype);
        foreach (var (batch, head, from, rows) in heads.Blocks(BlockWeights))
        {
            using var block = NewDisposeScope();
            var place = batch * heads.Count + head;
            mixed.select(0, batch).select(1, head).narrow(0, from, rows).copy_(MatrixProduct.Back(heads.Weights(place, from, rows), heads.V[place]));
        }
        return mixed.transpose(1, 2).MoveToOuterDisposeScope();
    }

    private static (Tensor? Q, Tensor? K, Tensor? V) Backward(Work work, Tensor gradient)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var (heads, mixed) = (work.Saved!, work.Mixed!.reshape(work.Saved!.Q.shape));
        var dy = gradient.reshape(heads.Q.shape);
        var dq = work.Wanted.Q ? empty_like(heads.Q) : null;
        // Summed as [d, M]: a narrow matrix times a wide one is faster than the wide one's transpose times the narrow one.
        var dk = work.Wanted.K ? zeros_like(heads.K).transpose(1, 2).contiguous() : null;
        var dv = work.Wanted.V ? zeros_like(heads.V).transpose(1, 2).contiguous() : null;
        foreach (var (batch, head, from, rows) in heads.Blocks(BlockWeights))
        {
            using var block = NewDisposeScope();
            var place = batch * heads.Count + head;
            var weights = heads.Weights(place, from, rows);                                         // [rows, M]
            var dyBlock = dy[place].narrow(0, from, rows);
            dv?[place].addmm_(dyBlock.t(), weights);
            if (dq is null && dk is null) continue;
            // dS = P∘(dP − Σ dP∘P), and Σ dP∘P = Σ dy∘y
            var slope = (dyBlock * mixed[place].narrow(0, from, rows)).sum(-1, keepdim: true);
            var scores = MatrixProduct.Of(dyBlock, heads.V[place], null).sub_(slope).mul_(weights);
            dq?[place].narrow(0, from, rows).copy_(MatrixProduct.Back(scores, heads.K[place]));
            dk?[place].addmm_(heads.Q[place].narrow(0, from, rows).t(), scores);
        }
        return (Shaped(dq?.mul_(heads.Scale)), Shaped(dk?.transpose(1, 2)), Shaped(dv?.transpose(1, 2)));

        Tensor? Shaped(Tensor? flat) => flat?.unflatten(0, [heads.Batch, heads.Count]).MoveToOuterDisposeScope();
    }

    /// <summary>Queries, scaled, keys and values, each [B·heads, tokens, d] and dense.</summary>
    private sealed class Heads
    {
        public Heads(Tensor q, Tensor k, Tensor v)
        {
            (Batch, Count, Tokens, Width) = (q.shape[0], q.shape[1], q.shape[2], q.shape[3]);
            Scale = 1 / Math.Sqrt(Width);
            Q = Flat(q.mul(Scale));
            (K, V) = (Flat(k), Flat(v));
        }

        public long Batch { get; }
        public long Count { get; }
        public long Tokens { get; }
        public long Width { get; }
        public double Scale { get; }
        public Tensor Q { get; }
        public Tensor K { get; }
        public Tensor V { get; }

        public IEnumerable<(long Batch, long Head, long From, long Rows)> Blocks(long weights)
        {
            var most = Math.Max(Rows, weights / K.shape[1] / Rows * Rows);
            for (var batch = 0L; batch < Batch; batch++)
                for (var head = 0L; head < Count; head++)
                    for (var from = 0L; from < Tokens; from += most) yield return (batch, head, from, Math.Min(most, Tokens - from));
        }

        public Tensor Weights(long place, long from, long rows) => functional.softmax(MatrixProduct.Of(Q[place].narrow(0, from, rows), K[place], null), -1);

        // Outlive every scope; Dispose frees them.
        public void Keep()
        {
            foreach (var tensor in (Tensor[])[Q, K, V]) tensor.DetachFromDisposeScope();
        }

        public void Dispose()
        {
            foreach (var tensor in (Tensor[])[Q, K, V]) tensor.Dispose();
        }

        private Tensor Flat(Tensor tensor) => tensor.detach().reshape(Batch * Count, -1, Width).contiguous();
    }

    private sealed class Work
    {
        public Heads? Saved;
        public Tensor? Mixed;
        public (bool Q, bool K, bool V) Wanted;

        public void Dispose()
        {
            Saved?.Dispose();
            Mixed?.Dispose();
        }
    }
}
