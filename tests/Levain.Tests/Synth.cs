using System.Text;
using static TorchSharp.torch;

namespace Levain.Tests;

/// <summary>Weights and inputs that depend on a name and a shape only, as the golden READMEs define them (FNV-1a, then SplitMix64).</summary>
internal static class Synth
{
    /// <summary>A weight: u·√(12 ÷ fan_in) from rank 2 on; below, 1 + 0.1u where the name ends with <c>.weight</c>, else 0.1u.</summary>
    public static Tensor Weight(string name, params long[] shape)
    {
        if (shape.Length < 2) return name.EndsWith(".weight") ? Make(name, shape, 0.1, 1) : Make(name, shape, 0.1, 0);
        return Make(name, shape, Math.Sqrt(12.0 / shape[1..].Aggregate(1L, (product, side) => product * side)), 0);
    }

    /// <summary>An input of variance 1: u·√12.</summary>
    public static Tensor Input(string name, params long[] shape) => Make(name, shape, Math.Sqrt(12), 0);

    /// <summary>u·<paramref name="scale"/> + <paramref name="offset"/>, computed in double, rounded to float.</summary>
    public static Tensor Make(string name, long[] shape, double scale, double offset)
    {
        var values = new float[shape.Aggregate(1L, (product, side) => product * side)];
        var hash = Hash(name);
        for (var k = 0; k < values.Length; k++) values[k] = (float)(Uniform(hash, (ulong)k) * scale + offset);
        return tensor(values, shape);
    }

    /// <summary>FNV-1a (64 bit) of the UTF-8 name.</summary>
    public static ulong Hash(string name)
    {
        var hash = 0xCBF29CE484222325ul;
        foreach (var b in Encoding.UTF8.GetBytes(name)) hash = (hash ^ b) * 0x100000001B3;
        return hash;
    }

    /// <summary>Element k's u in [−0.5, 0.5).</summary>
    public static double Uniform(ulong hash, ulong k)
    {
        var x = hash + k + 0x9E3779B97F4A7C15;
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
        x = (x ^ x >> 27) * 0x94D049BB133111EB;
        x ^= x >> 31;
        return (x >> 40) / (double)(1 << 24) - 0.5;
    }
}
