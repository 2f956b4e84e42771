using Levain.Models;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Models;

/// <summary>Our own products and convolutions have libtorch's numbers, whatever the sizes and whichever way the operands lie.</summary>
public sealed class OwnProductsTests
{
    private const double Tolerance = 2e-6;      // relative: fp32 sums of up to a thousand terms, not many of which cancel, in another order

    private const double GradientTolerance = 1e-5;      // relative: sums over all tokens, of terms of both signs, after a one that was added

    private const double Bf16Tolerance = 1.0 / 256;     // relative: rounding to eight bits, a unit of the last place

    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(7, 5, 3)]
    [InlineData(8, 32, 512)]
    [InlineData(9, 33, 513)]
    [InlineData(77, 320, 100)]
    [InlineData(40, 16, 1030)]
    [InlineData(3, 300, 600)]
    public void Products_of_any_size_and_order(int rows, int columns, int depth)
    {
        if (!Engine.OwnKernels) return;         // libtorch's are used everywhere then
        using var scope = NewDisposeScope();
        Tensor[] lefts = [Wave(rows, depth), Wave(depth, rows).t()], rights = [Wave(depth, columns), Wave(columns, depth).t()];
        foreach (var a in lefts)
            foreach (var b in rights)
            {
                var expected = a.mm(b);
                Same(expected, OwnProducts.Of(a, b));
                foreach (var sum in (Tensor[])[ones(rows, columns), ones(columns, rows).t()])
                {
                    OwnProducts.Add(sum, a, b);
                    Same(expected + 1, sum);
                }
            }
        Same(Wave(rows, depth).mm(ones(1, 1).expand(depth, columns)), OwnProducts.Of(Wave(rows, depth), ones(1, 1).expand(depth, columns)));
    }

    [Theory]
    [InlineData(3, 5, 3, 4, 4)]
    [InlineData(17, 24, 3, 8, 16)]
    [InlineData(64, 40, 3, 16, 16)]
    [InlineData(20, 9, 5, 16, 3)]
    [InlineData(160, 700, 3, 2, 2)]         // maps smaller than a vector, more outputs than are packed together
    [InlineData(30, 50, 3, 5, 7)]
    public void A_layer_goes_forwards_and_backwards_as_libtorch_does(int inputs, int outputs, int kernel, int height, int width)
    {
        if (!Engine.OwnKernels) return;
        using var scope = NewDisposeScope();
        using var layer = new Conv2dLayer(inputs, outputs, kernel, Compute.Cpu);
        using (no_grad())
        {
            layer.Weight.copy_(Wave(outputs, inputs, kernel, kernel));
            layer.Bias!.copy_(Wave(outputs));
        }
        foreach (var dense in (bool[])[true, false])
        {
            var x = dense ? Wave(2, inputs, height, width) : Wave(2, height, width, inputs).permute(0, 3, 1, 2);
            x = x.detach().requires_grad_(true);
            var expected = nn.functional.conv2d(x, layer.Weight, layer.Bias, padding: [kernel / 2, kernel / 2]);
            var gradient = expected.detach().sin();
            var found = layer.call(x);
            Same(expected, found);
            Same(autograd.grad([expected], [x], [gradient])[0], autograd.grad([found], [x], [gradient])[0]);
            using var frozen = no_grad();
            Assert.True(found.equal(layer.call(x)).all().item<bool>());        // recorded or not: the same bits
        }
    }

    [Theory]
    [InlineData(32, 48, 3, 8, 8)]
    [InlineData(48, 720, 3, 16, 16)]
    [InlineData(16, 32, 3, 10, 24)]         // rows of sixteen and eight, groups that end with a row
    [InlineData(32, 32, 5, 16, 40)]
    [InlineData(64, 32, 3, 32, 32)]
    [InlineData(16, 16, 3, 249, 270)]       // a large map whose patches do not come out even
    public void A_bf16_layer_is_as_near_to_fp32_as_rounding_its_result(int inputs, int outputs, int kernel, int height, int width)
    {
        if (!Engine.OwnKernels) return;
        using var scope = NewDisposeScope();
        using var layer = new Conv2dLayer(inputs, outputs, kernel, Compute.Cpu with { Dtype = ScalarType.BFloat16 });
        using (no_grad())
        {
            layer.Weight.copy_(Wave(outputs, inputs, kernel, kernel));
            layer.Bias!.copy_(Wave(outputs));
        }
        var x = Wave(2, inputs, height, width).bfloat16().detach().requires_grad_(true);
        using var wide = x.detach().@float().requires_grad_(true);
        var expected = nn.functional.conv2d(wide, layer.Weight.@float(), layer.Bias!.@float(), padding: [kernel / 2, kernel / 2]);
        var gradient = expected.detach().sin().bfloat16();
        var found = layer.call(x);
        Assert.Equal(ScalarType.BFloat16, found.dtype);
        Same(expected, found, Bf16Tolerance);
        Same(autograd.grad([expected], [wide], [gradient.@float()])[0], autograd.grad([found], [x], [gradient])[0], Bf16Tolerance);
        using var frozen = no_grad();
        Assert.True(found.equal(layer.call(x)).all().item<bool>());
    }

    [Theory]
    [InlineData(0, 40, 24, 1, 7, 5, 1)]            // linear, few tokens
    [InlineData(0, 64, 320, 16, 200, 3, 1)]
    [InlineData(0, 300, 100, 40, 77, 4, 2)]
    [InlineData(1, 48, 96, 16, 16, 8, 1)]          // 1×1 over maps
    [InlineData(1, 20, 12, 5, 10, 6, 2)]
    [InlineData(3, 64, 96, 16, 16, 16, 1)]         // 3×3, batch of two
    [InlineData(3, 30, 40, 9, 16, 24, 2)]
    [InlineData(3, 70, 64, 40, 8, 8, 1)]           // more ranks than lie side by side
    [InlineData(5, 16, 33, 20, 16, 16, 2)]
    [InlineData(3, 130, 160, 16, 2, 2, 2)]         // maps smaller than a vector
    [InlineData(3, 40, 40, 33, 5, 9, 1)]
    public void A_layer_and_its_low_rank_product_go_both_ways_as_libtorch_does(int kernel, int inputs, int outputs, int rank, int height, int width, int threads)
    {
        if (!Engine.OwnKernels) return;
        using var scope = NewDisposeScope();
        AdaptableLayer layer = kernel == 0 ? new LinearLayer(inputs, outputs, Compute.Cpu) : new Conv2dLayer(inputs, outputs, kernel, Compute.Cpu);
        long[] side = kernel == 0 ? [] : [kernel, kernel], one = kernel == 0 ? [] : [1, 1];
        using (no_grad())
        {
            layer.Weight.copy_(Wave(layer.Weight.shape));
            layer.Bias!.copy_(Wave(outputs));
        }
        var (down, up) = (Wave([rank, inputs, .. side]).div(rank).requires_grad_(true), Wave([outputs, rank, .. one]).div(outputs).requires_grad_(true));
        const float factor = 0.7f;
        var before = get_num_threads();
        set_num_threads(threads);
        try
        {
            foreach (var dense in (bool[])[true, false])
            {
                var x = kernel == 0 ? Wave(height, width, inputs) : dense ? Wave(2, inputs, height, width) : Wave(2, height, width, inputs).permute(0, 3, 1, 2);
                x = x.detach().requires_grad_(true);
                Assert.True(LowRankProducts.Suits(layer, x));
                var expected = kernel == 0
                    ? nn.functional.linear(x, layer.Weight, layer.Bias) + nn.functional.linear(nn.functional.linear(x, down), up) * factor
                    : nn.functional.conv2d(x, layer.Weight, layer.Bias, padding: [kernel / 2, kernel / 2]) + nn.functional.conv2d(nn.functional.conv2d(x, down, padding: [kernel / 2, kernel / 2]), up) * factor;
                var gradient = expected.detach().sin();
                var wanted = autograd.grad([expected], [x, down, up], [gradient]);
                using var frozen = no_grad();
                Tensor a = down.flatten(1), b = up.flatten(1);
                var (found, inner) = LowRankProducts.Forward(layer, x, true, a, b, factor);
                Same(expected, found);
                var (downs, ups) = (ones_like(a), ones_like(b));
                Same(wanted[0], LowRankProducts.Backward(layer, x, inner, gradient, new(a, b, factor, 0, rank) { WantsInput = true, DownGradient = downs, UpGradient = ups })!);
                Same(wanted[1].flatten(1), downs - 1, GradientTolerance);
                Same(wanted[2].flatten(1), ups - 1, GradientTolerance);

                // Some ranks' gradients alone, and no input's.
                var (first, count) = (rank / 3, rank - rank / 3);
                downs.zero_();
                ups.zero_();
                Assert.Null(LowRankProducts.Backward(layer, x, inner, gradient, new(a, b, factor, first, count) { DownGradient = downs.narrow(0, first, count), UpGradient = ups.narrow(1, first, count) }));
                Same(wanted[1].flatten(1).narrow(0, first, count), downs.narrow(0, first, count), GradientTolerance);
                Same(wanted[2].flatten(1).narrow(1, first, count), ups.narrow(1, first, count), GradientTolerance);
                Assert.Equal(0, downs.narrow(0, 0, first).abs().sum().item<float>() + ups.narrow(1, 0, first).abs().sum().item<float>());
            }
        }
        finally { set_num_threads(before); }
    }

    [Fact]
    public void A_frozen_layer_without_its_bias_still_hands_its_gradient_on()
    {
        using var scope = NewDisposeScope();
        using var layer = new LinearLayer(24, 40, Compute.Cpu);
        using (no_grad())
        {
            layer.Weight.copy_(Wave(40, 24));
            layer.Bias!.copy_(Wave(40));
        }
        var x = Wave(2, 5, 24).requires_grad_(true);
        layer.Apply(x, layer.Weight, null).sum().backward();
        Same(layer.Weight.sum([0L]).expand(2, 5, 24), x.grad!);
    }

    private static void Same(Tensor expected, Tensor found, double tolerance = Tolerance)
    {
        Assert.Equal(expected.shape, found.shape);
        var off = ((found - expected).norm() / (expected.norm() + 1e-3)).item<float>();
        Assert.True(off <= tolerance, $"off by {off}.");
    }

    private static Tensor Wave(params long[] shape) => sin(arange(shape.Aggregate(1L, (product, side) => product * side), dtype: ScalarType.Float32).mul_(0.7f)).add_(0.5f).view(shape);
}
