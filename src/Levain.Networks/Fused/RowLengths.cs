using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>Squared lengths of the rows of W + left·right, without making the matrix: ‖w‖² + 2·w·(Σ l·r) + ‖Σ l·r‖², products as wide as the rank.</summary>
/// <remarks>
/// With T = W·rightᵀ and M = T + left·(right·rightᵀ): lengths are ‖w‖² + Σ left ∘ (T + M) over the rank, and for gradients g of them
/// ∂left = 2g ∘ M, ∂right = 2·(g ∘ left)ᵀ·(W + left·right). Inputs: left [N, r], right [r, C]; result [N].
/// </remarks>
/// <param name="weight">W, [N, C] in any order of memory.</param>
/// <param name="squared">‖w‖², [N].</param>
internal sealed class RowLengths(Tensor weight, Tensor squared) : Pass
{
    private readonly Tensor weight = weight.alias().DetachFromDisposeScope();
    private Tensor? slope;              // M

    /// <inheritdoc/>
    public override Tensor Forward(IReadOnlyList<Tensor> inputs)
    {
        var (left, right) = (inputs[0].detach(), inputs[1].detach());
        var product = FactorProducts.Of(weight, right.t(), 1);
        slope = product.addmm(left, right.mm(right.t())).DetachFromDisposeScope();
        return product.add_(slope).mul_(left).sum(1).add_(squared);
    }

    /// <inheritdoc/>
    public override Tensor?[] Backward(IReadOnlyList<Tensor> inputs, Tensor gradient)
    {
        var (left, right) = (inputs[0].detach(), inputs[1].detach());
        var twice = gradient.mul(2).unsqueeze(1);
        var scaled = left.mul(twice);
        var back = scaled.t().mm(left).mm(right);
        FactorProducts.AddGradient(back, scaled.t(), weight);
        var rise = slope!.mul(twice);
        slope.Dispose();
        weight.Dispose();
        return [rise, back];
    }
}
