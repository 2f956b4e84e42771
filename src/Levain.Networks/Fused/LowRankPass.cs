using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>
/// A pointwise layer and a low-rank product: y = op(x) + f·up·(down·x), added in place. Going back, the product's share of the input's gradient is
/// added in place too, and x gets none where it needs none.
/// </summary>
/// <remarks>Inputs: x [..., In] or [B, In, H, W], down [r, In(, 1, 1)], up [Out, r(, 1, 1)].</remarks>
internal sealed class LowRankPass(IAdaptableLayer layer, float factor, Tensor? mask, bool withBias) : Pass
{
    private readonly Tensor? mask = mask?.alias().DetachFromDisposeScope();
    private Tensor? downBuffer, upBuffer;
    private Tensor[] inner = [];        // f·down·x with its mask, for each matrix of x: [N, r]
    private bool wantsInput, wantsDown, wantsUp;
    private (long First, long Count)? trained;

    /// <summary>Trained factors: their gradients go straight into the network's buffer.</summary>
    /// <param name="factor">f: strength × scale.</param>
    /// <param name="mask">Factors on down·x, or null.</param>
    /// <param name="withBias">Whether the layer's bias is added.</param>
    public static Tensor Run(IAdaptableLayer layer, Tensor x, AdapterParameter down, AdapterParameter up, float factor, Tensor? mask, bool withBias = true) =>
        Run(new LowRankPass(layer, factor, mask, withBias) { downBuffer = down.GradientMatrix, upBuffer = up.GradientMatrix }, x, down.Value, up.Value);

    /// <summary>Factors that were computed: autograd takes their gradients further.</summary>
    /// <param name="trained">First of the ranks whose gradients are wanted, and how many; null: all.</param>
    public static Tensor Run(IAdaptableLayer layer, Tensor x, Tensor down, Tensor up, float factor, Tensor? mask, bool withBias = true, (long First, long Count)? trained = null) =>
        Run(new LowRankPass(layer, factor, mask, withBias) { trained = trained }, x, down, up);

    /// <inheritdoc/>
    public override Tensor Forward(IReadOnlyList<Tensor> inputs)
    {
        var x = inputs[0];
        (wantsInput, wantsDown, wantsUp) = (x.requires_grad, inputs[1].requires_grad, inputs[2].requires_grad);
        var y = LayerMatrices.Dense(layer, layer.Apply(x, layer.Weight, withBias ? layer.Bias : null));
        var (a, b) = (Matrix(inputs[1], x).t(), Matrix(inputs[2], x).t());
        var (ins, outs, masks) = (LayerMatrices.Of(layer, x), LayerMatrices.Of(layer, y), Masks());
        inner = new Tensor[ins.Length];
        for (var i = 0; i < ins.Length; i++)
        {
            inner[i] = FactorProducts.Of(ins[i], a, factor).DetachFromDisposeScope();
            if (masks is not null) inner[i].mul_(masks[i]);
            FactorProducts.Add(outs[i], inner[i], b);               // [N, Out], in place
        }
        return y;
    }

    /// <inheritdoc/>
    public override Tensor?[] Backward(IReadOnlyList<Tensor> inputs, Tensor gradient)
    {
        var x = inputs[0];
        var (a, b) = (Matrix(inputs[1], x), Matrix(inputs[2], x));
        var dx = wantsInput ? LayerMatrices.Dense(layer, layer.InputGradient(gradient)) : null;
        var into = dx is null ? null : LayerMatrices.Of(layer, dx);
        var (ins, outs, masks) = (LayerMatrices.Of(layer, x), LayerMatrices.Of(layer, gradient), Masks());
        var down = wantsDown && downBuffer is null ? zeros_like(inputs[1]) : null;
        var up = wantsUp && upBuffer is null ? zeros_like(inputs[2]) : null;
        var (first, count) = trained ?? (0, a.size(0));
        Tensor ranks(Tensor matrix, long dimension) => trained is null ? matrix : matrix.narrow(dimension, first, count);
        for (var i = 0; i < ins.Length; i++)
        {
            var back = FactorProducts.Of(outs[i], b, factor);                              // [N, r]
            if (masks is not null) back.mul_(masks[i]);
            if (wantsUp) FactorProducts.AddGradient(ranks(upBuffer ?? up!.flatten(1), 1), outs[i].t(), ranks(inner[i], 1));
            if (wantsDown) FactorProducts.AddGradient(ranks(downBuffer ?? down!.flatten(1), 0), ranks(back, 1).t(), ins[i]);
            if (into is not null) FactorProducts.Add(into[i], back, a);
            inner[i].Dispose();
        }
        mask?.Dispose();
        return [dx, down, up];
    }

    private static Tensor Matrix(Tensor factor, Tensor x) => factor.detach().flatten(1).to_type(x.dtype);

    private Tensor[]? Masks() => mask is null ? null : LayerMatrices.Of(layer, mask);
}
