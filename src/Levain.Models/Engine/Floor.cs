using System.Diagnostics;
using TorchSharp;
using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>What the machine's fp32 arithmetic can do at best: the yardstick every speed is a share of.</summary>
/// <param name="Product">GFLOP/s of a 2048³ matrix product.</param>
/// <param name="Convolution">GFLOP/s of a 3×3 convolution, 320 channels, 64×64, batch 2.</param>
public sealed record Floor(double Product, double Convolution)
{
    private const long Side = 2048, Channels = 320, Map = 64, Batch = 2, Kernel = 3;

    /// <summary>The better of the two, GFLOP/s.</summary>
    public double Best => Math.Max(Product, Convolution);

    /// <summary>Measures both, half a second each.</summary>
    /// <param name="device">Where; null for the CPU.</param>
    /// <param name="clock">Seconds since some moment; null for time passed.</param>
    public static Floor Measure(Device? device = null, Func<double>? clock = null)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var (a, b) = (Noise(device, Side, Side), Noise(device, Side, Side));
        var x = Noise(device, Batch, Map, Map, Channels).permute(0, 3, 1, 2);
        var w = Noise(device, Channels, Kernel, Kernel, Channels).permute(0, 3, 1, 2);
        return new(
            Rate(2.0 * Side * Side * Side, clock, () => mm(a, b)),
            Rate(2.0 * Batch * Map * Map * Channels * Channels * Kernel * Kernel, clock, () => nn.functional.conv2d(x, w, padding: [1, 1])));
    }

    // GFLOP/s of the fastest call: neighbours on the machine only ever slow one down.
    private static double Rate(double flop, Func<double>? clock, Func<Tensor> call)
    {
        const double Seconds = 0.5;
        call().Dispose();
        var (best, passed) = (double.MaxValue, Stopwatch.StartNew());
        clock ??= () => passed.Elapsed.TotalSeconds;
        while (passed.Elapsed.TotalSeconds < Seconds)
        {
            var start = clock();
            using var result = call();
            if (result.device_type == DeviceType.CUDA) cuda.synchronize();
            best = Math.Min(best, clock() - start);
        }
        return flop / best / 1e9;
    }

    // Inputs of a formula: a measurement must not move a generator a run draws from.
    internal static Tensor Noise(Device? device, params long[] shape)
    {
        using var scope = NewDisposeScope();
        return sin(arange(shape.Aggregate(1L, (product, side) => product * side), dtype: ScalarType.Float32)).view(shape).to(device ?? CPU).MoveToOuterDisposeScope();
    }
}
