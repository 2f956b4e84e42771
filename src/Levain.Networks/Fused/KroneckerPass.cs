using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>
/// A pointwise layer and a Kronecker product: y = op(x) + f·(W₁ ⊗ W₂)·x as two small products, one over each factor's share of the channels; the
/// large matrix is never made. Inputs: x, W₁ [L, M], and W₂ [K, N] either whole or as A [K, r], B [r, N].
/// </summary>
/// <remarks>
/// Input channel e·N + g is (e, g) of [M, N], output channel a·K + b is (a, b) of [L, K]. x is narrowed first (by B, or not at all), then mixed by W₁,
/// then widened (by A, or by W₂ itself), straight into the output.
/// </remarks>
internal sealed class KroneckerPass(IAdaptableLayer layer, float factor) : Pass
{
    private bool wantsInput;
    private Tensor? narrow, mixed;          // kept between the passes where they are narrow: [n·M, r], [n·L, r]

    /// <inheritdoc/>
    public override Tensor Forward(IReadOnlyList<Tensor> inputs)
    {
        var x = inputs[0];
        wantsInput = x.requires_grad;
        var y = LayerOrder.Dense(layer.Shape, layer.Apply(x, layer.Weight, layer.Bias));
        var rows = LayerMatrices.Rows(layer, x).contiguous();
        var inPlace = LayerMatrices.RowsAreView(layer, y);
        var outputs = inPlace ? LayerMatrices.Rows(layer, y) : zeros([rows.size(0), layer.Shape.Out], y.dtype, device: y.device);
        var sides = new Sides(inputs, rows.size(0));
        var t = sides.Down is { } down ? rows.view(-1, sides.N).mm(down.t()) : rows.view(-1, sides.N);
        var u = sides.Each(sides.First).bmm(t.view(-1, sides.M, sides.R)).view(-1, sides.R);
        outputs.view(-1, sides.K).addmm_(u, sides.Up.t(), alpha: factor);
        if (sides.Down is not null) (narrow, mixed) = (t.DetachFromDisposeScope(), u.DetachFromDisposeScope());
        return inPlace ? y : y.add_(LayerMatrices.FromRows(layer, outputs, y));
    }

    /// <inheritdoc/>
    public override Tensor?[] Backward(IReadOnlyList<Tensor> inputs, Tensor gradient)
    {
        var x = inputs[0];
        var (rows, g) = (LayerMatrices.Rows(layer, x).contiguous(), LayerMatrices.Rows(layer, gradient).contiguous());
        var dx = wantsInput ? LayerOrder.Dense(layer.Shape, layer.InputGradient(gradient)) : null;
        var sides = new Sides(inputs, rows.size(0));
        var t = narrow ?? rows.view(-1, sides.N);
        var u = mixed ?? sides.Each(sides.First).bmm(t.view(-1, sides.M, sides.R)).view(-1, sides.R);
        var back = g.view(-1, sides.K).mm(sides.Up).mul_(factor).view(-1, sides.L, sides.R);
        var up = g.view(-1, sides.K).t().mm(u).mul_(factor);
        var first = back.bmm(t.view(-1, sides.M, sides.R).transpose(1, 2)).sum([0L]);
        var inner = dx is null && sides.Down is null ? null : sides.Each(sides.First.t()).bmm(back).view(-1, sides.R);      // [n·M, r]
        var down = sides.Down is null ? null : inner!.t().mm(rows.view(-1, sides.N));
        if (dx is not null)
        {
            if (sides.Down is { } narrowing && LayerMatrices.RowsAreView(layer, dx)) LayerMatrices.Rows(layer, dx).view(-1, sides.N).addmm_(inner!, narrowing);
            else dx.add_(LayerMatrices.FromRows(layer, (sides.Down is null ? inner! : inner!.mm(sides.Down)).view(rows.shape), dx));
        }
        narrow?.Dispose();
        mixed?.Dispose();
        Tensor?[] second = down is null ? [up.to_type(ScalarType.Float32)] : [up.to_type(ScalarType.Float32), down.to_type(ScalarType.Float32)];
        return [dx, first.to_type(ScalarType.Float32), .. second];
    }

    private sealed class Sides
    {
        private readonly long count;

        public Sides(IReadOnlyList<Tensor> inputs, long count)
        {
            this.count = count;
            var dtype = inputs[0].dtype;
            First = inputs[1].detach().to_type(dtype);
            Up = inputs[2].detach().to_type(dtype);
            Down = inputs.Count > 3 ? inputs[3].detach().to_type(dtype) : null;
            (L, M, K, R) = (First.size(0), First.size(1), Up.size(0), Up.size(1));
            N = Down is null ? R : Down.size(1);
        }

        public long L { get; }
        public long M { get; }
        public long K { get; }
        public long N { get; }
        public long R { get; }
        public Tensor First { get; }
        public Tensor Up { get; }
        public Tensor? Down { get; }

        /// <summary>One and the same matrix for every row.</summary>
        public Tensor Each(Tensor matrix) => matrix.unsqueeze(0).expand(count, -1, -1);
    }
}
