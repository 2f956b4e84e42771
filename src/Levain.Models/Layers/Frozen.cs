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

    /// <summary>The same values in another type, as a weight that outlives every scope.</summary>
    public static Parameter Widened(Tensor narrow, ScalarType dtype)
    {
        using var frozen = no_grad();
        using var wide = narrow.detach().to_type(dtype);
        var weight = new Parameter(wide, requires_grad: false);
        weight.DetachFromDisposeScope();
        return weight;
    }
}
