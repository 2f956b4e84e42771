using Levain.Models;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Models;

/// <summary>Both ways of a large product give the same numbers, forwards and backwards.</summary>
public sealed class MatrixProductTests
{
    private const double Tolerance = 2e-6;      // relative: fp32 sums of a few hundred terms in another order

    [Theory]
    [InlineData(2, 256, 192, 176)]
    [InlineData(1, 128, 320, 256)]
    public void A_product_as_a_convolution_has_the_numbers_of_the_plain_one(long batch, long rows, long inputs, long outputs)
    {
        using var scope = NewDisposeScope();
        var (x, w, b) = (Wave(batch, rows, inputs).requires_grad_(true), Wave(outputs, inputs), Wave(outputs));
        var y = Both(() => MatrixProduct.Of(x, w, b));
        Same(y.Plain, y.Other);
        var gradient = Wave(batch, rows, outputs);
        var back = Both(() => MatrixProduct.Back(gradient, w));
        Same(back.Plain, back.Other);
        Same(back.Plain, autograd.grad([y.Other], [x], [gradient])[0]);
    }

    private static (Tensor Plain, Tensor Other) Both(Func<Tensor> run)
    {
        var before = Engine.ProductsByConvolution;
        try
        {
            Engine.ProductsByConvolution = false;
            var plain = run();
            Engine.ProductsByConvolution = true;
            return (plain, run());
        }
        finally
        {
            Engine.ProductsByConvolution = before;
        }
    }

    private static void Same(Tensor expected, Tensor found, double tolerance = Tolerance)
    {
        Assert.Equal(expected.shape, found.shape);
        var off = ((found - expected).norm() / expected.norm()).item<float>();
        Assert.True(off <= tolerance, $"off by {off}.");
    }

    private static Tensor Wave(params long[] shape) => sin(arange(shape.Aggregate(1L, (product, side) => product * side), dtype: ScalarType.Float32).mul_(0.7f)).view(shape);
}
