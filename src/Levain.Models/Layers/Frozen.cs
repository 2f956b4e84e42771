using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>Weights of a base model: allocated empty, filled from a file, never trained.</summary>
internal static class Frozen
{
    /// <summary>An uninitialised weight that outlives every scope; its module disposes it.</summary>
    public static Parameter Empty(Compute compute, params long[] shape)
    {
        var dtype = shape.Length > 1 ? compute.Storage ?? compute.Dtype : compute.Dtype;
        var weight = new Parameter(empty(shape, dtype: dtype, device: compute.Device), requires_grad: false);
        weight.DetachFromDisposeScope();
        return weight;
    }
}
