using Levain.Training;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Training.Optimization;

/// <summary>Muon's first step against its definition: rounds of Newton and Schulz on the matrix itself, in double. 5e-6: small singular values grow 485-fold.</summary>
public sealed class MuonTests
{
    [Theory]
    [InlineData(true, "24x20")]
    [InlineData(true, "20x24")]
    [InlineData(true, "33x130")]
    [InlineData(true, "200x70")]
    [InlineData(true, "1x7")]
    [InlineData(true, "5x3")]
    [InlineData(true, "33x70")]
    [InlineData(true, "6x4x3x3")]
    [InlineData(true, "128x320")]
    [InlineData(true, "320x128")]
    [InlineData(true, "129x300")]
    [InlineData(false, "24x20")]
    [InlineData(false, "33x130")]
    public void A_step_is_the_rounds_on_the_matrix_itself(bool fused, string sides)
    {
        var shape = sides.Split('x').Select(long.Parse).ToArray();
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var tensor = new TrainedTensor(0, shape);
        var (values, gradients) = (zeros(tensor.Length), Synth.Input("muon.g", tensor.Length));
        var expected = Rounds(gradients.to(ScalarType.Float64).view(shape[0], -1));
        using var rule = Optimizers.Muon.Defaults.Create(new(values, gradients, [new(1, [tensor])], 1) { Fused = fused });
        rule.Step([new(0, 1, [new([tensor], 1)])]);

        var scale = Math.Sqrt(Math.Max(1, expected.shape[0] / (double)expected.shape[1]));
        var difference = (values.to(ScalarType.Float64).view_as(expected) + expected * scale).abs().max().item<double>();
        Assert.True(difference <= 5e-6, $"off by {difference}.");
    }

    [Theory]
    [InlineData(true, "33x300")]
    [InlineData(true, "300x33")]
    [InlineData(true, "64x256")]
    [InlineData(false, "33x300")]
    [InlineData(false, "300x33")]
    public void Momentum_joins_as_with_tensor_operations(bool nesterov, string sides)
    {
        const int steps = 3;
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var tensor = new TrainedTensor(0, [.. sides.Split('x').Select(long.Parse)]);
        Tensor after(bool fused)
        {
            var (values, gradients) = (Synth.Input("muon.p", tensor.Length), zeros(tensor.Length));
            using var rule = ((MuonOptions)Optimizers.Muon.Defaults with { Nesterov = nesterov }).Create(new(values, gradients, [new(0.1, [tensor])], 0.1) { Fused = fused });
            for (var step = 1; step <= steps; step++)
            {
                gradients.copy_(Synth.Input($"muon.g{step}", tensor.Length));
                rule.Step([new(0, 0.1, [new([tensor], step)])]);
            }
            return values;
        }

        var difference = (after(fused: true) - after(fused: false)).abs().max().item<float>();
        Assert.True(difference <= 5e-6, $"off by {difference}.");
    }

    private static Tensor Rounds(Tensor x)
    {
        if (x.shape[0] > x.shape[1]) return Rounds(x.t()).t();
        x = x / x.norm();
        for (var round = 0; round < 5; round++)
        {
            var s = x.matmul(x.t());
            x = x * 3.4445 + (s * -4.775 + s.matmul(s) * 2.0315).matmul(x);
        }
        return x;
    }
}
