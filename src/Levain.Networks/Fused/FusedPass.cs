using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>A layer and an adapter's share of it, computed as one node of the graph: forward by hand, backward by hand.</summary>
/// <remarks>
/// The plain arrangement writes every output twice and every input gradient three times, which costs more than the products themselves: at rank 16
/// and width 320 these are a twentieth of the layer's arithmetic.
/// </remarks>
internal abstract class Pass
{
    /// <summary>The layer's output with the adapter in it. The caller's scope owns it.</summary>
    /// <param name="inputs">What the layer received, then the adapter's factors.</param>
    public abstract Tensor Forward(IReadOnlyList<Tensor> inputs);

    /// <summary>How many of the inputs, the first ones, the way back looks at: these are kept. The others' places it finds empty.</summary>
    public virtual int Kept => int.MaxValue;

    /// <summary>Gradients of the inputs, in their order; null where none is wanted or it has been added to a buffer already. The caller's scope owns them.</summary>
    public abstract Tensor?[] Backward(IReadOnlyList<Tensor> inputs, Tensor gradient);

    /// <summary>Whether this way suits: gradients are recorded, the layer is frozen and a product of matrices.</summary>
    public static bool Suits(IAdaptableLayer layer) => is_grad_enabled() && !layer.Weight.requires_grad && layer.Shape.IsPointwise;

    /// <summary>Runs a pass; the caller's scope owns the result.</summary>
    public static Tensor Run(Pass pass, params Tensor[] inputs) => FusedPass.apply([pass, .. inputs]);
}

/// <summary>The node that a <see cref="Pass"/> becomes.</summary>
internal sealed class FusedPass : autograd.SingleTensorFunction<FusedPass>
{
    private const string Key = "pass";

    /// <inheritdoc/>
    public override string Name => nameof(FusedPass);

    /// <inheritdoc/>
    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var pass = (Pass)vars[0];
        Tensor[] inputs = [.. vars.Skip(1).Cast<Tensor>()];
        ctx.save_data(Key, pass);
        ctx.save_for_backward([.. inputs.Take(pass.Kept)]);
        using var scope = NewDisposeScope();
        return pass.Forward(inputs).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor gradient)
    {
        HandedOver.Release();
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var inputs = ctx.get_saved_variables();
        var found = ((Pass)ctx.get_data(Key)).Backward(inputs, gradient);
        inputs.ForEach(tensor => tensor.Dispose());
        gradient.Dispose();
        return [null!, .. found.Select(tensor => HandedOver.Keep(tensor)!)];
    }
}
