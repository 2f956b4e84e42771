using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>A number as waves of falling frequency: f_i = exp(−ln(10000)·i/half), result [cos(t·f), sin(t·f)], cosine first.</summary>
/// <remarks>Vaswani et al. 2017, https://arxiv.org/abs/1706.03762 §3.5, in the order of the guided-diffusion code that Stable Diffusion descends from. Always fp32.</remarks>
public sealed class Sinusoids : IDisposable
{
    private const double LongestPeriod = 10_000;
    private readonly Tensor frequencies;

    /// <param name="width">Waves made of each number; even.</param>
    public Sinusoids(long width, Device device)
    {
        using var scope = NewDisposeScope();
        var half = width / 2;
        frequencies = exp(arange(half, dtype: ScalarType.Float32) * -Math.Log(LongestPeriod) / half).to(device).DetachFromDisposeScope();
    }

    /// <param name="numbers">Timesteps or sizes, [B], any type.</param>
    /// <returns>[B, width], fp32.</returns>
    public Tensor Of(Tensor numbers)
    {
        using var scope = NewDisposeScope();
        var angle = numbers.to(frequencies.device).to(ScalarType.Float32).unsqueeze(-1) * frequencies;
        return cat([cos(angle), sin(angle)], -1).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose() => frequencies.Dispose();
}
