using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>Weights of a base model: allocated empty, filled from a file, never trained.</summary>
internal static class Frozen
{
    /// <summary>An uninitialised weight that outlives every scope; its module disposes it.</summary>
    public static Parameter Empty(Compute compute, params long[] shape)
    {
        var dtype = shape.Length > 1 && shape.Aggregate(1L, (product, side) => product * side) >= compute.StoredFrom ? compute.Storage ?? compute.Dtype : compute.Dtype;
        var weight = new Parameter(empty(shape, dtype: dtype, device: compute.Device), requires_grad: false);
        weight.DetachFromDisposeScope();
        return weight;
    }

    /// <summary>Puts the same values in another type in a weight's place; its module then registers it anew.</summary>
    /// <returns>False where it has that type already.</returns>
    public static bool Widen(ref Parameter weight, ScalarType dtype)
    {
        if (weight.dtype == dtype) return false;
        using var frozen = no_grad();
        using var narrow = weight;
        using var wide = narrow.detach().to_type(dtype);
        weight = new Parameter(wide, requires_grad: false);
        weight.DetachFromDisposeScope();
        return true;
    }
}
