using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>A two-dimensional convolution with square kernel, stride and padding, open to adapters.</summary>
public sealed class Conv2dLayer : AdaptableLayer
{
    private readonly long[] stride, padding;

    /// <param name="inputs">Channels in.</param>
    /// <param name="outputs">Channels out.</param>
    /// <param name="kernel">Side of the kernel.</param>
    /// <param name="padding">Rows and columns of zeros on every side; by default what keeps the size at stride 1.</param>
    /// <param name="hasBias">Whether something is added to every channel.</param>
    public Conv2dLayer(long inputs, long outputs, long kernel, Compute compute, long stride = 1, long? padding = null, bool hasBias = true)
        : base(nameof(Conv2dLayer), ShapeOf(inputs, outputs, kernel, stride, padding ?? kernel / 2), [outputs, inputs, kernel, kernel], hasBias, compute)
    {
        this.stride = [Shape.Stride.H, Shape.Stride.W];
        this.padding = [Shape.Padding.H, Shape.Padding.W];
    }

    /// <inheritdoc/>
    internal override bool GoesBack => Shape.Stride == (1, 1);

    /// <inheritdoc/>
    protected override Tensor Compute(Tensor x, Tensor weight, Tensor? bias, bool own)
    {
        if (own && IsProduct)
            return MapOrder.IsPixelsFirst(x)
                ? Rows(x, pixels => OwnProducts.Linear(pixels.reshape(-1, Shape.In), Matrix(weight), bias).view([.. pixels.shape[..^1], Shape.Out]))
                : OwnProducts.Pointwise(x, Matrix(weight), bias);
        if (own && OwnProducts.SuitsConvolution(x, weight, Shape)) return OwnProducts.Convolve(x, weight, bias);
        return IsProduct && MapOrder.IsPixelsFirst(x) ? Rows(x, pixels => MatrixProduct.Of(pixels, weight, bias)) : functional.conv2d(x, weight, bias, stride, padding);
    }

    /// <inheritdoc/>
    protected override Tensor Back(Tensor gradient, Tensor weight, bool own)
    {
        if (!GoesBack) throw new NotSupportedException("A strided convolution's way back needs the input's size.");
        using var scope = NewDisposeScope();
        if (own && IsProduct)
            return MapOrder.IsPixelsFirst(gradient)
                ? Rows(gradient, pixels => OwnProducts.Of(pixels.reshape(-1, Shape.Out), Matrix(weight)).view([.. pixels.shape[..^1], Shape.In])).MoveToOuterDisposeScope()
                : OwnProducts.Pointwise(gradient, Matrix(weight).t(), null).MoveToOuterDisposeScope();
        if (own && OwnProducts.SuitsConvolutionBack(gradient, weight, Shape)) return OwnProducts.ConvolveBack(gradient, weight).MoveToOuterDisposeScope();
        return (IsProduct && MapOrder.IsPixelsFirst(gradient) ? Rows(gradient, pixels => MatrixProduct.Back(pixels, weight)) : functional.conv_transpose2d(gradient, weight, strides: stride, padding: padding)).MoveToOuterDisposeScope();
    }

    private Tensor Matrix(Tensor weight) => weight.reshape(Shape.Out, Shape.In);

    private bool IsProduct => Shape.IsPointwise;

    // A 1×1 convolution over pixels that lie one after another is a product of matrices.
    private static Tensor Rows(Tensor x, Func<Tensor, Tensor> product)
    {
        using var scope = NewDisposeScope();
        return product(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).MoveToOuterDisposeScope();
    }

    private static LayerShape ShapeOf(long inputs, long outputs, long kernel, long stride, long padding) =>
        new(LayerKind.Conv2d, inputs, outputs, (kernel, kernel), (stride, stride), (padding, padding));
}
