using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>
/// Gradients that a node of our own has returned. libtorch's engine takes them without owning them at once, so they stay alive until the next such
/// node's turn on this thread.
/// </summary>
public static class HandedOver
{
    [ThreadStatic] private static List<Tensor>? gradients;

    /// <summary>Frees what the node before returned. A node's backward pass begins with it.</summary>
    public static void Release()
    {
        gradients?.ForEach(gradient => gradient.Dispose());
        gradients?.Clear();
    }

    /// <summary>Takes a gradient out of its scope, to be returned.</summary>
    public static Tensor? Keep(Tensor? gradient)
    {
        if (gradient is not null) (gradients ??= []).Add(gradient.DetachFromDisposeScope());
        return gradient;
    }
}
