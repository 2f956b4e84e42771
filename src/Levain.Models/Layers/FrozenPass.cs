using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>A frozen layer as a node of its own: going back needs its weight alone, so nothing of what came in is kept.</summary>
/// <remarks>libtorch's own nodes hold their input until the backward pass has been through, for a weight gradient that nobody asks for.</remarks>
internal sealed class FrozenPass : autograd.SingleTensorFunction<FrozenPass>
{
    private const string Key = "layer";

    /// <inheritdoc/>
    public override string Name => nameof(FrozenPass);

    /// <summary>Whether the layer's pass by its own weight is recorded, for its input alone.</summary>
    public static bool Suits(AdaptableLayer layer, Tensor x, Tensor weight, Tensor? bias) =>
        is_grad_enabled() && x.requires_grad && layer.GoesBack && ReferenceEquals(weight, layer.Weight) && (bias is null || ReferenceEquals(bias, layer.Bias)) && !weight.requires_grad && bias?.requires_grad != true;

    /// <summary>The layer's output; the caller's scope owns it.</summary>
    public static Tensor Run(IAdaptableLayer layer, Tensor x, bool withBias) => apply([layer, withBias, x]);

    /// <inheritdoc/>
    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var (layer, withBias, x) = ((IAdaptableLayer)vars[0], (bool)vars[1], (Tensor)vars[2]);
        ctx.save_data(Key, layer);
        using var frozen = no_grad();
        return layer.Apply(x, layer.Weight, withBias ? layer.Bias : null);
    }

    /// <inheritdoc/>
    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor gradient)
    {
        HandedOver.Release();
        using var frozen = no_grad();
        var dx = HandedOver.Keep(((IAdaptableLayer)ctx.get_data(Key)).InputGradient(gradient));
        gradient.Dispose();
        return [null!, null!, dx!];
    }
}
