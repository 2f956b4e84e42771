using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>
/// A linear layer or 1×1 convolution and its low-rank product as one node of the graph: y = op(x) + f·up·(down·x), added in place. Going back, the
/// product's share of the input's gradient is added in place too, down's and up's go straight into the network's gradient buffer, and x gets
/// none where it needs none.
/// </summary>
/// <remarks>
/// The plain arrangement writes every output twice and every input gradient three times, which costs more than the products themselves: at rank 16
/// and width 320 these are a twentieth of the layer's arithmetic.
/// </remarks>
internal sealed class FusedProduct : autograd.SingleTensorFunction<FusedProduct>
{
    private const string Key = "product";

    // The engine takes what backward returns without owning it: it stays alive until the next node's turn.
    [ThreadStatic] private static Tensor? handedOver;

    /// <inheritdoc/>
    public override string Name => nameof(FusedProduct);

    /// <summary>Whether the node fits: gradients are recorded into the network's buffer, and the layer is a product of matrices.</summary>
    public static bool Suits(Adapter adapter, Tensor x, AdapterParameter down)
    {
        var shape = adapter.Site.Layer.Shape;
        return is_grad_enabled() && down.GradientMatrix is not null && !adapter.Site.Layer.Weight.requires_grad
            && (shape.Kind == LayerKind.Linear || (!shape.IsSpatial && shape.Stride == (1, 1) && shape.Padding == (0, 0)));
    }

    /// <summary>Runs the layer with the product in it; the caller's scope owns the result.</summary>
    /// <param name="layer">The frozen layer.</param>
    /// <param name="x">[…, In] or [B, In, H, W].</param>
    /// <param name="down">[r, In] or [r, In, 1, 1].</param>
    /// <param name="up">[Out, r] or [Out, r, 1, 1].</param>
    /// <param name="factor">f: strength × scale.</param>
    /// <param name="mask">Factors on down·x, or null.</param>
    public static Tensor Run(IAdaptableLayer layer, Tensor x, AdapterParameter down, AdapterParameter up, float factor, Tensor? mask) =>
        apply([new Work(layer, down, up, factor, mask), x, down.Value, up.Value]);

    /// <inheritdoc/>
    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var (work, x) = ((Work)vars[0], (Tensor)vars[1]);
        ctx.save_data(Key, work);
        ctx.save_for_backward([x]);
        return work.Forward(x);
    }

    /// <inheritdoc/>
    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor gradient)
    {
        handedOver?.Dispose();
        var x = ctx.get_saved_variables()[0];
        handedOver = ((Work)ctx.get_data(Key)).Backward(x, gradient)?.DetachFromDisposeScope();
        x.Dispose();
        gradient.Dispose();
        return [null!, handedOver!, null!, null!];
    }

    private sealed class Work(IAdaptableLayer layer, AdapterParameter down, AdapterParameter up, float factor, Tensor? mask)
    {
        private readonly Tensor? mask = mask?.alias().DetachFromDisposeScope();
        private Tensor[] inner = [];        // down·x with its mask, for each matrix of x: [N, r]
        private bool wanted;

        public Tensor Forward(Tensor x)
        {
            using var scope = NewDisposeScope();
            wanted = x.requires_grad;
            var y = Dense(layer.Apply(x, layer.Weight, layer.Bias));
            var (a, b) = (down.Matrix.to_type(x.dtype).t(), up.Matrix.to_type(x.dtype).t());
            var (inputs, outputs, masks) = (Matrices(x), Matrices(y), Masks());
            inner = new Tensor[inputs.Length];
            for (var i = 0; i < inputs.Length; i++)
            {
                inner[i] = inputs[i].mm(a).DetachFromDisposeScope();
                if (masks is not null) inner[i].mul_(masks[i]);
                outputs[i].addmm_(inner[i], b, alpha: factor);          // [N, Out], in place
            }
            return y.MoveToOuterDisposeScope();
        }

        public Tensor? Backward(Tensor x, Tensor gradient)
        {
            using var frozen = no_grad();
            using var scope = NewDisposeScope();
            var (a, b) = (down.Matrix.to_type(x.dtype), up.Matrix.to_type(x.dtype));
            var dx = wanted ? Dense(InputGradient(gradient)) : null;
            var into = dx is null ? null : Matrices(dx);
            var (inputs, outputs, masks) = (Matrices(x), Matrices(gradient), Masks());
            for (var i = 0; i < inputs.Length; i++)
            {
                var back = outputs[i].mm(b).mul_(factor);               // [N, r]
                if (masks is not null) back.mul_(masks[i]);
                Add(up, outputs[i].t(), inner[i], factor);
                Add(down, back.t(), inputs[i], 1);
                into?[i].addmm_(back, a);
                inner[i].Dispose();
            }
            mask?.Dispose();
            return dx?.MoveToOuterDisposeScope();
        }

        // Of the layer itself: its operation with the transposed weight.
        private Tensor InputGradient(Tensor gradient) => layer.Apply(gradient, layer.Weight.transpose(0, 1), null);

        // gradient += scale · left·right, in fp32 whatever the activations are.
        private static void Add(AdapterParameter parameter, Tensor left, Tensor right, float scale)
        {
            var sum = parameter.GradientMatrix!;
            if (left.dtype == ScalarType.Float32) sum.addmm_(left, right, alpha: scale);
            else sum.add_(left.mm(right), scale);
        }

        private Tensor[]? Masks() => mask is null ? null : Matrices(mask);

        // One row for each token, or for each pixel of a picture: [N, C]. Views, hence writable, of dense tensors.
        private Tensor[] Matrices(Tensor tensor)
        {
            if (layer.Shape.Kind == LayerKind.Linear) return [tensor.reshape(-1, tensor.shape[^1])];
            return [.. Enumerable.Range(0, (int)tensor.shape[0]).Select(i => tensor.select(0, i)).Select(picture =>
                PixelsFirst(tensor) ? picture.permute(1, 2, 0).reshape(-1, picture.shape[0]) : picture.reshape(picture.shape[0], -1).t())];
        }

        private Tensor Dense(Tensor tensor) =>
            tensor.is_contiguous() || (layer.Shape.Kind == LayerKind.Conv2d && PixelsFirst(tensor)) ? tensor : tensor.contiguous();

        // Whether a picture lies in memory pixel by pixel (channels last) without gaps.
        private static bool PixelsFirst(Tensor tensor) => tensor.permute(0, 2, 3, 1).is_contiguous();
    }
}
