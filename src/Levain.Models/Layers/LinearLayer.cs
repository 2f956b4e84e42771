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
    protected override Tensor Compute(Tensor x, Tensor weight, Tensor? bias) => MatrixProduct.Of(x, weight, bias);

    /// <inheritdoc/>
    protected override Tensor Back(Tensor gradient, Tensor weight) => MatrixProduct.Back(gradient, weight);
}
