using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>a·GELU(g) of one layer's two halves by this program's own kernel: of what came in only the halves themselves are kept.</summary>
internal sealed class FusedGate : autograd.SingleTensorFunction<FusedGate>
{
    /// <inheritdoc/>
    public override string Name => nameof(FusedGate);

    /// <summary>[..., n] of [..., 2n]; the caller's scope owns it.</summary>
    public static Tensor Run(Tensor halves) => is_grad_enabled() && halves.requires_grad ? apply([halves]) : Of(halves);

    /// <inheritdoc/>
    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var halves = (Tensor)vars[0];
        ctx.save_for_backward([halves]);
        return Of(halves);
    }

    /// <inheritdoc/>
    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor gradient)
    {
        HandedOver.Release();
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var saved = ctx.get_saved_variables();
        var halves = saved[0].contiguous();
        var slopes = empty(halves.shape, halves.dtype);
        GatedGelu.Back(halves, gradient.contiguous(), slopes);
        saved.ForEach(tensor => tensor.Dispose());
        gradient.Dispose();
        return [HandedOver.Keep(slopes)!];
    }

    private static Tensor Of(Tensor halves)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var dense = halves.contiguous();
        var gated = empty([.. halves.shape[..^1], halves.size(-1) / 2], halves.dtype);
        GatedGelu.Run(dense, gated);
        return gated.MoveToOuterDisposeScope();
    }
}
