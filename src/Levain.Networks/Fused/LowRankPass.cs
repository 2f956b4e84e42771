using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>
/// A layer and a low-rank product: y = op(x) + f·up·(down·x), added in place. Going back, the product's share of the input's gradient is
/// added in place too, and x gets none where it needs none.
/// </summary>
/// <remarks>Inputs: x [..., In] or [B, In, H, W], down [r, In(, k, k)], up [Out, r(, 1, 1)].</remarks>
internal sealed class LowRankPass(IAdaptableLayer layer, float factor, Tensor? mask, bool withBias) : Pass
{
    private readonly Tensor? mask = mask?.alias().DetachFromDisposeScope();
    private (Tensor Value, Tensor? Buffer)? down, up;       // trained factors as matrices, and where their gradients go
    private Tensor[] inner = [];        // f·down·x with its mask, for each matrix of x: [N, r]
    private bool wantsInput, wantsDown, wantsUp;
    private (long First, long Count)? trained;
    private Tensor? ownInner;           // the same of our own kernels

    /// <summary>Whether this way suits a layer: gradients are recorded, the layer is frozen, and a product of matrices or a convolution that our own kernels compute.</summary>
    /// <param name="mask">Factors on down·x, or null.</param>
    public static bool Suits(IAdaptableLayer layer, Tensor x, Tensor? mask) => Suits(layer) || (is_grad_enabled() && !layer.Weight.requires_grad && mask is null && LowRankProducts.Suits(layer, x));

    /// <summary>Trained factors: their gradients go straight into the network's buffer.</summary>
    /// <param name="factor">f: strength × scale.</param>
    /// <param name="mask">Factors on down·x, or null.</param>
    /// <param name="withBias">Whether the layer's bias is added.</param>
    public static Tensor Run(IAdaptableLayer layer, Tensor x, AdapterParameter down, AdapterParameter up, float factor, Tensor? mask, bool withBias = true) =>
        Run(new LowRankPass(layer, factor, mask, withBias) { down = (down.Matrix, down.GradientMatrix), up = (up.Matrix, up.GradientMatrix) }, x, down.Value, up.Value);

    /// <summary>Factors that were computed: autograd takes their gradients further.</summary>
    /// <param name="trained">First of the ranks whose gradients are wanted, and how many; null: all.</param>
    public static Tensor Run(IAdaptableLayer layer, Tensor x, Tensor down, Tensor up, float factor, Tensor? mask, bool withBias = true, (long First, long Count)? trained = null) =>
        Run(new LowRankPass(layer, factor, mask, withBias) { trained = trained }, x, down, up);

    /// <inheritdoc/>
    public override int Kept => down is null ? base.Kept : 1;

    /// <inheritdoc/>
    public override Tensor Forward(IReadOnlyList<Tensor> inputs)
    {
        var x = inputs[0];
        (wantsInput, wantsDown, wantsUp) = (x.requires_grad, inputs[1].requires_grad, inputs[2].requires_grad);
        var (a, b) = Factors(inputs);
        if (mask is null && LowRankProducts.Suits(layer, x))
        {
            (var output, ownInner) = LowRankProducts.Forward(layer, x, withBias, a, b, factor);
            ownInner.DetachFromDisposeScope();
            return output;
        }
        var y = LayerOrder.Dense(layer.Shape, layer.Apply(x, layer.Weight, withBias ? layer.Bias : null));
        (a, b) = (a.to_type(x.dtype).t(), b.to_type(x.dtype).t());
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
        var (a, b) = Factors(inputs);
        var (first, count) = trained ?? (0, a.size(0));
        Tensor ranks(Tensor matrix, long dimension) => trained is null ? matrix : matrix.narrow(dimension, first, count);
        var newDown = wantsDown && down is null ? zeros_like(inputs[1]) : null;
        var newUp = wantsUp && up is null ? zeros_like(inputs[2]) : null;
        var (downGradient, upGradient) = (wantsDown ? ranks(down?.Buffer ?? newDown!.flatten(1), 0) : null, wantsUp ? ranks(up?.Buffer ?? newUp!.flatten(1), 1) : null);
        if (ownInner is not null)
        {
            var input = LowRankProducts.Backward(layer, x, ownInner, gradient,
                new(a, b, factor, (int)first, (int)count) { WantsInput = wantsInput, DownGradient = downGradient, UpGradient = upGradient });
            ownInner.Dispose();
            return [input, newDown, newUp];
        }
        (a, b) = (a.to_type(x.dtype), b.to_type(x.dtype));
        var dx = wantsInput ? LayerOrder.Dense(layer.Shape, layer.InputGradient(gradient)) : null;
        var into = dx is null ? null : LayerMatrices.Of(layer, dx);
        var (ins, outs, masks) = (LayerMatrices.Of(layer, x), LayerMatrices.Of(layer, gradient), Masks());
        for (var i = 0; i < ins.Length; i++)
        {
            var back = FactorProducts.Of(outs[i], b, factor);                              // [N, r]
            if (masks is not null) back.mul_(masks[i]);
            if (upGradient is not null) FactorProducts.AddGradient(upGradient, outs[i].t(), ranks(inner[i], 1));
            if (downGradient is not null) FactorProducts.AddGradient(downGradient, ranks(back, 1).t(), ins[i]);
            if (into is not null) FactorProducts.Add(into[i], back, a);
            inner[i].Dispose();
        }
        mask?.Dispose();
        return [dx, newDown, newUp];
    }

    // As matrices, outside autograd.
    private (Tensor Down, Tensor Up) Factors(IReadOnlyList<Tensor> inputs) => (down?.Value ?? inputs[1].detach().flatten(1), up?.Value ?? inputs[2].detach().flatten(1));

    private Tensor[]? Masks() => mask is null ? null : LayerMatrices.Of(layer, mask);
}
