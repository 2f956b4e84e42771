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

    /// <summary>Normal around 0.</summary>
    /// <param name="values">What is filled.</param>
    /// <param name="deviation">Standard deviation.</param>
    /// <param name="generator">Where the numbers come from.</param>
    public static void Normal(Tensor values, double deviation, Generator generator) => values.normal_(0, deviation, generator);

    /// <summary>What torch's modules are filled with when they are made, before a family fills them anew: as many numbers, thrown away.</summary>
    public static void Made(Tensor values, Generator generator) => values.uniform_(0, 1, generator);
}
