using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>Changes what an attention looks at, for keys and values apart (hypernetworks).</summary>
public interface IContextPatch
{
    /// <summary>What keys and what values are made of, both shaped like <paramref name="context"/>; <paramref name="context"/> itself where nothing changes. The caller's scope owns new tensors.</summary>
    /// <param name="context">Tokens looked at, [B, M, width].</param>
    (Tensor Keys, Tensor Values) Change(Tensor context);
}

/// <summary>Multi-head attention of image tokens over themselves or over the text.</summary>
public sealed class CrossAttention : Module<Tensor, Tensor, Tensor>
{
    private readonly LinearLayer to_q, to_k, to_v;
    private readonly ModuleList<LinearLayer> to_out;
    private readonly long heads;

    /// <param name="channels">Width of the image tokens.</param>
    /// <param name="context">Width of the tokens looked at.</param>
    public CrossAttention(long channels, long context, long heads, Compute compute) : base(nameof(CrossAttention))
    {
        this.heads = heads;
        to_q = new(channels, channels, compute, bias: false);
        to_k = new(context, channels, compute, bias: false);
        to_v = new(context, channels, compute, bias: false);
        to_out = new(new LinearLayer(channels, channels, compute));
        RegisterComponents();
    }

    /// <summary>Changes the tokens looked at; null leaves them as they are.</summary>
    public IContextPatch? Context { get; set; }

    /// <param name="x">Image tokens, [B, N, C].</param>
    /// <param name="context">Tokens looked at, [B, M, context]; <paramref name="x"/> itself for self attention.</param>
    /// <returns>[B, N, C].</returns>
    public override Tensor forward(Tensor x, Tensor context)
    {
        using var scope = NewDisposeScope();
        var q = Split(to_q.call(x));
        var (keys, values) = Context?.Change(context) ?? (context, context);
        var k = Split(to_k.call(keys));
        var v = Split(to_v.call(values));
        var mixed = Attention.Mix(q, k, v);                                  // [B, heads, N, C/heads]
        return to_out[0].call(mixed.transpose(1, 2).flatten(2)).MoveToOuterDisposeScope();
    }

    // [B, N, C] → [B, heads, N, C/heads]
    private Tensor Split(Tensor tokens) => tokens.unflatten(2, [heads, -1]).transpose(1, 2);
}
