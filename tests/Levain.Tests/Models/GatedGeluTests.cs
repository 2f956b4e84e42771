using Levain.Models;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Models;

/// <summary>The feed forward's gate has libtorch's numbers and gradients, and one pass over memory.</summary>
public sealed class GatedGeluTests
{
    [Theory]
    [InlineData(false, 1)]
    [InlineData(false, 2)]
    [InlineData(true, 1)]
    public void A_gate_is_what_libtorch_makes_of_it_in_double(bool half, int threads)
    {
        if (!Engine.OwnKernels) return;         // libtorch's is used then
        // fp32: rounding of a few steps, and of Φ near 1; bf16: rounding to eight bits, a unit of the last place.
        var tolerance = half ? 1.0 / 256 : 4e-7;
        using var scope = NewDisposeScope();
        // Every gate from far below to far above, beside factors of both signs.
        const long count = 1 << 14, width = 64;
        var gates = linspace(-14, 14, count, dtype: ScalarType.Float32).view(-1, width);
        var factors = sin(arange(count, dtype: ScalarType.Float32)).view(-1, width) + 1.5f;
        var halves = cat([factors, gates], 1).to_type(half ? ScalarType.BFloat16 : ScalarType.Float32).detach().requires_grad_(true);
        Assert.True(GatedGelu.Suits(halves));
        using var exact = halves.detach().@double().requires_grad_(true);
        var parts = exact.chunk(2, -1);
        var expected = parts[0] * nn.functional.gelu(parts[1]);
        var gradient = cos(arange(count, dtype: ScalarType.Float32)).view(-1, width).to_type(halves.dtype);
        var before = get_num_threads();
        set_num_threads(threads);
        try
        {
            var found = FusedGate.Run(halves);
            Near(expected, found, tolerance);
            Near(autograd.grad([expected], [exact], [gradient.@double()])[0], autograd.grad([found], [halves], [gradient])[0], tolerance);
            using var frozen = no_grad();
            Assert.True(found.equal(FusedGate.Run(halves)).all().item<bool>());        // recorded or not: the same bits
        }
        finally { set_num_threads(before); }
    }

    [Fact]
    public void What_is_no_number_stays_none()
    {
        if (!Engine.OwnKernels) return;
        using var scope = NewDisposeScope();
        var halves = zeros(1, 64);
        halves[0, 32] = float.NaN;
        halves[0, 0] = 1;
        halves[0, 1] = float.NaN;
        var gated = FusedGate.Run(halves);
        Assert.True(gated[0, 0].isnan().item<bool>() && gated[0, 1].isnan().item<bool>());
        Assert.Equal(0, gated[0, 2].item<float>());
    }

    // Relative to the larger of a number and 1.
    private static void Near(Tensor expected, Tensor found, double tolerance)
    {
        Assert.Equal(expected.shape, found.shape);
        var off = ((found.@double() - expected).abs() / expected.abs().clamp_min(1)).max().item<double>();
        Assert.True(off <= tolerance, $"off by {off}.");
    }
}
