using TorchSharp;
using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>Attention by this program's own kernels, on processors with vectors of 512 bits. Weights are computed again in the backward pass.</summary>
internal sealed class FusedAttention : autograd.SingleTensorFunction<FusedAttention>
{
    private const string Key = "sums";
    private const int WidestHead = 1024;

    /// <inheritdoc/>
    public override string Name => nameof(FusedAttention);

    /// <summary>Whether the kernels can compute it.</summary>
    public static bool Suits(Tensor q) =>
        Engine.OwnKernels && q.device_type == DeviceType.CPU && q.dtype is ScalarType.Float32 or ScalarType.BFloat16 && q.size(3) <= WidestHead;

    /// <summary>[B, heads, N, d] of [B, heads, N, d] and twice [B, heads, M, d]; the caller's scope owns it.</summary>
    public static Tensor Run(Tensor q, Tensor k, Tensor v)
    {
        if (is_grad_enabled() && (q.requires_grad || k.requires_grad || v.requires_grad)) return apply([q, k, v]);
        using var scope = NewDisposeScope();
        return Forward(q, k, v, null).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var (q, k, v) = ((Tensor)vars[0], (Tensor)vars[1], (Tensor)vars[2]);
        using var scope = NewDisposeScope();
        var sums = empty([q.size(0) * q.size(1), q.size(2)]);
        var mixed = Forward(q, k, v, sums);
        ctx.save_for_backward([q, k, v]);
        ctx.save_data(Key, new Kept(mixed.alias().DetachFromDisposeScope(), sums.DetachFromDisposeScope(), (q.requires_grad, k.requires_grad, v.requires_grad)));
        return mixed.MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor gradient)
    {
        HandedOver.Release();
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var kept = (Kept)ctx.get_data(Key);
        var saved = ctx.get_saved_variables();
        var (q, k, v) = (saved[0], saved[1], saved[2]);
        var (dq, dk, dv) = (kept.Wanted.Q ? Like(q) : null, kept.Wanted.K ? Like(k) : null, kept.Wanted.V ? Like(v) : null);
        Backward(Dense(q), Dense(k), Dense(v), kept, Dense(gradient), dq, dk, dv);
        saved.ForEach(tensor => tensor.Dispose());
        gradient.Dispose();
        kept.Mixed.Dispose();
        kept.Sums.Dispose();
        return [HandedOver.Keep(dq)!, HandedOver.Keep(dk)!, HandedOver.Keep(dv)!];
    }

    private static unsafe Tensor Forward(Tensor q, Tensor k, Tensor v, Tensor? sums)
    {
        using var frozen = no_grad();
        (q, k, v) = (Dense(q), Dense(k), Dense(v));
        var mixed = Like(q);
        AttentionForward.Run(new(q), new(k), new(v), new(mixed), sums is null ? null : (float*)TensorMemory.Address(sums));
        foreach (var tensor in (Tensor?[])[q, k, v, sums]) GC.KeepAlive(tensor);
        return mixed;
    }

    private static void Backward(Tensor q, Tensor k, Tensor v, Kept kept, Tensor gradient, Tensor? dq, Tensor? dk, Tensor? dv)
    {
        AttentionBackward.Run(new(new(q), new(k), new(v), new(kept.Mixed), TensorMemory.Address(kept.Sums), new(gradient), Of(dq), Of(dk), Of(dv), kept.Wanted));
        foreach (var tensor in (Tensor?[])[q, k, v, gradient, dq, dk, dv]) GC.KeepAlive(tensor);

        static HeadRows Of(Tensor? tensor) => tensor is null ? default : new(tensor);
    }

    // Tokens first in memory, so that heads join into channels without a copy.
    private static Tensor Like(Tensor heads) => empty([heads.size(0), heads.size(2), heads.size(1), heads.size(3)], dtype: heads.dtype).transpose(1, 2);

    private static Tensor Dense(Tensor tensor) => HeadRows.Fits(tensor) ? tensor : tensor.contiguous();

    private sealed record Kept(Tensor Mixed, Tensor Sums, (bool Q, bool K, bool V) Wanted);
}
