using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>Self attention, attention to the text, feed forward; each behind a layer norm and beside a skip.</summary>
/// <remarks>Field order is kohya's: it decides the order in which networks are created, and with it their initial weights.</remarks>
public sealed class BasicTransformerBlock : Module<Tensor, Tensor, Tensor>
{
    private const double Epsilon = 1e-5;
    private readonly CrossAttention attn1;
    private readonly FeedForward ff;
    private readonly CrossAttention attn2;
    private readonly LayerNormLayer norm1, norm2, norm3;

    /// <param name="channels">Width C of the image tokens.</param>
    /// <param name="context">Width of the text encoder's states.</param>
    public BasicTransformerBlock(long channels, long context, long heads, Compute compute) : base(nameof(BasicTransformerBlock))
    {
        attn1 = new(channels, channels, heads, compute);
        ff = new(channels, compute);
        attn2 = new(channels, context, heads, compute);
        norm1 = new(channels, Epsilon, compute);
        norm2 = new(channels, Epsilon, compute);
        norm3 = new(channels, Epsilon, compute);
        RegisterComponents();
    }

    /// <param name="x">Image tokens, [B, N, C].</param>
    /// <param name="context">Text states, [B, M, context].</param>
    public override Tensor forward(Tensor x, Tensor context)
    {
        using var scope = NewDisposeScope();
        var y = norm1.call(x);
        x = x + attn1.call(y, y);
        x = x + attn2.call(norm2.call(x), context);
        return (x + ff.call(norm3.call(x))).MoveToOuterDisposeScope();
    }
}
