using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>Activations of maps that nobody else looks at.</summary>
internal static class Activation
{
    /// <summary>x·σ(x), in x's own memory where no pass is recorded; the same bits.</summary>
    /// <param name="x">A layer's output, not to be used afterwards.</param>
    public static Tensor Silu(Tensor x) => functional.silu(x, inplace: !is_grad_enabled());
}
