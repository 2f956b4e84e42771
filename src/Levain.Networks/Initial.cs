using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>Initial distributions, with torch's own bounds so that the same numbers come out of the same generator.</summary>
internal static class Initial
{
    /// <summary>Uniform ±√(6 ÷ ((1+a²)·fan_in)) with a = √5, that is ±1/√fan_in: torch's initialisation of linear and convolution weights.</summary>
    public static void KaimingUniform(Tensor values, Generator generator)
    {
        // In this order of operations: the bound's last bit decides the values' last bits.
        var slope = Math.Sqrt(5);
        var gain = Math.Sqrt(2 / (1 + slope * slope));
        var bound = Math.Sqrt(3) * (gain / Math.Sqrt(values.numel() / values.shape[0]));
        values.uniform_(-bound, bound, generator);
    }
}
