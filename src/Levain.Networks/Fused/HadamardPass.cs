using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>
/// A pointwise layer with a Hadamard product in its weight: y = op(x, W + f·(a₁·b₁) ∘ (a₂·b₂)). The weight is made a few rows at a time, used, and made
/// again on the way back: neither it nor its gradient is ever whole in memory.
/// </summary>
/// <remarks>
/// With G = f·∂L/∂W', P = G ∘ (a₂·b₂), Q = G ∘ (a₁·b₁): ∂a₁ = P·b₁ᵀ, ∂b₁ = a₁ᵀ·P, ∂a₂ = Q·b₂ᵀ, ∂b₂ = a₂ᵀ·Q (Hyeon-Woo et al. 2021,
/// https://arxiv.org/abs/2108.06098). Inputs: x, a₁ [Out, r], b₁ [r, In], a₂, b₂.
/// </remarks>
internal sealed class HadamardPass(IAdaptableLayer layer, float factor) : Pass
{
    // So many elements of weight are worked on at once: a few of such pieces stay in a core's cache.
    private const long PieceElements = 1 << 17;
    private const long LeastRows = 64;

    private bool wantsInput;

    /// <inheritdoc/>
    public override Tensor Forward(IReadOnlyList<Tensor> inputs)
    {
        var x = inputs[0];
        wantsInput = x.requires_grad;
        var y = LayerOrder.EmptyLike(layer.Shape, x, layer.Shape.Out);
        if (layer.Bias is { } bias) y.copy_(LayerMatrices.OverChannels(layer, bias));
        else y.zero_();
        var (ins, outs) = (LayerMatrices.Of(layer, x), LayerMatrices.Of(layer, y));
        foreach (var piece in Pieces(inputs))
            for (var i = 0; i < ins.Length; i++) FactorProducts.Add(outs[i].narrow(1, piece.First, piece.Rows), ins[i], piece.Weight().to_type(x.dtype).t());
        return y;
    }

    /// <inheritdoc/>
    public override Tensor?[] Backward(IReadOnlyList<Tensor> inputs, Tensor gradient)
    {
        var x = inputs[0];
        gradient = LayerOrder.Dense(layer.Shape, gradient);
        var dx = wantsInput ? LayerOrder.EmptyLike(layer.Shape, x, layer.Shape.In).zero_() : null;
        var into = dx is null ? null : LayerMatrices.Of(layer, dx);
        var (ins, outs) = (LayerMatrices.Of(layer, x), LayerMatrices.Of(layer, gradient));
        var (da1, db1, da2, db2) = (zeros_like(inputs[1]), zeros_like(inputs[2]), zeros_like(inputs[3]), zeros_like(inputs[4]));
        var (b1, b2) = (inputs[2].detach(), inputs[4].detach());
        foreach (var piece in Pieces(inputs))
        {
            if (into is not null)
            {
                var weight = piece.Weight().to_type(x.dtype);
                for (var i = 0; i < ins.Length; i++) FactorProducts.Add(into[i], outs[i].narrow(1, piece.First, piece.Rows), weight);
            }
            var g = piece.Scratch;
            for (var i = 0; i < ins.Length; i++)
            {
                var rows = outs[i].narrow(1, piece.First, piece.Rows).t();
                if (i == 0) FactorProducts.Into(g, rows, ins[i]);
                else FactorProducts.AddGradient(g, rows, ins[i]);
            }
            g.mul_(factor);
            piece.Second.mul_(g);                                                       // P
            g.mul_(piece.First1);                                                       // Q
            FactorProducts.AddGradient(da1.narrow(0, piece.First, piece.Rows), piece.Second, b1.t());
            FactorProducts.AddGradient(db1, piece.A1.t(), piece.Second);
            FactorProducts.AddGradient(da2.narrow(0, piece.First, piece.Rows), g, b2.t());
            FactorProducts.AddGradient(db2, piece.A2.t(), g);
        }
        return [dx, da1, db1, da2, db2];
    }

    private sealed record Piece(long First, long Rows, Tensor Base, Tensor A1, Tensor A2, Tensor First1, Tensor Second, Tensor Scratch, float Factor)
    {
        // W + f·(a₁·b₁) ∘ (a₂·b₂) in the scratch rows.
        public Tensor Weight()
        {
            Scratch.copy_(Base);
            return Scratch.addcmul_(First1, Second, Factor);
        }
    }

    // Rows of the two products, in buffers that all pieces share: each piece is done with before the next is made.
    private IEnumerable<Piece> Pieces(IReadOnlyList<Tensor> inputs)
    {
        var (a1, b1, a2, b2) = (inputs[1].detach(), inputs[2].detach(), inputs[3].detach(), inputs[4].detach());
        var (weight, width) = (layer.Weight.flatten(1), layer.Shape.In);
        var most = Math.Min(layer.Shape.Out, Math.Max(LeastRows, PieceElements / width));
        var (first1, second, scratch) = (empty([most, width], device: a1.device), empty([most, width], device: a1.device), empty([most, width], device: a1.device));
        for (var first = 0L; first < layer.Shape.Out; first += most)
        {
            var rows = Math.Min(most, layer.Shape.Out - first);
            var (left, right) = (a1.narrow(0, first, rows), a2.narrow(0, first, rows));
            var piece = new Piece(first, rows, weight.narrow(0, first, rows), left, right, first1.narrow(0, 0, rows), second.narrow(0, 0, rows), scratch.narrow(0, 0, rows), factor);
            FactorProducts.Into(piece.First1, left, b1);
            FactorProducts.Into(piece.Second, right, b2);
            yield return piece;
        }
    }
}
