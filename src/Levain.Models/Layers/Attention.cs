using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>softmax(q·kᵀ/√d)·v (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, eq. 1).</summary>
internal static class Attention
{
    /// <param name="q">[B, heads, N, d].</param>
    /// <param name="k">[B, heads, M, d].</param>
    /// <param name="v">[B, heads, M, d].</param>
    /// <returns>[B, heads, N, d].</returns>
    public static Tensor Mix(Tensor q, Tensor k, Tensor v) =>
        FusedAttention.Suits(q) ? FusedAttention.Run(q, k, v) : functional.scaled_dot_product_attention(q, k, v);
}
