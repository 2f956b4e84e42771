using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>y = x·Wᵀ + b over the last dimension, open to adapters.</summary>
public sealed class LinearLayer : AdaptableLayer
{
    /// <param name="inputs">Width of x.</param>
    /// <param name="outputs">Width of y.</param>
    public LinearLayer(long inputs, long outputs, Compute compute, bool bias = true)
        : base(nameof(LinearLayer), new(LayerKind.Linear, inputs, outputs, (1, 1), (1, 1), (0, 0)), [outputs, inputs], bias, compute) { }

    /// <inheritdoc/>
    internal override bool GoesBack => true;

    /// <inheritdoc/>
    protected override Tensor Compute(Tensor x, Tensor weight, Tensor? bias, bool own)
    {
        if (!own) return MatrixProduct.Of(x, weight, bias);
        using var scope = NewDisposeScope();
        return OwnProducts.Linear(x.reshape(-1, Shape.In), weight, bias).view([.. x.shape[..^1], Shape.Out]).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override Tensor Back(Tensor gradient, Tensor weight, bool own)
    {
        if (!own) return MatrixProduct.Back(gradient, weight);
        using var scope = NewDisposeScope();
        return OwnProducts.Of(gradient.reshape(-1, Shape.Out), weight).view([.. gradient.shape[..^1], Shape.In]).MoveToOuterDisposeScope();
    }
}
