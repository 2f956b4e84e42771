using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models.Clip;

/// <summary>One block: causal self attention and a feed-forward part, each behind a norm and beside a skip.</summary>
internal sealed class ClipEncoderLayer : Module<Tensor, Tensor>
{
    private readonly ClipAttention self_attn;
    private readonly LayerNormLayer layer_norm1;
    private readonly ClipMlp mlp;
    private readonly LayerNormLayer layer_norm2;

    public ClipEncoderLayer(ClipTextSpec spec, Compute compute) : base("CLIPEncoderLayer")
    {
        self_attn = new(spec, compute);
        layer_norm1 = new(spec.Width, spec.Epsilon, compute);
        mlp = new(spec, compute);
        layer_norm2 = new(spec.Width, spec.Epsilon, compute);
        RegisterComponents();
    }

    /// <param name="x">Token states, [B, N, C].</param>
    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        x = x + self_attn.call(layer_norm1.call(x));
        return (x + mlp.call(layer_norm2.call(x))).MoveToOuterDisposeScope();
    }
}

/// <summary>Multi-head attention in which a token sees itself and those before it; padding is not masked.</summary>
internal sealed class ClipAttention : Module<Tensor, Tensor>
{
    private readonly LinearLayer k_proj, v_proj, q_proj, out_proj;
    private readonly long heads;

    public ClipAttention(ClipTextSpec spec, Compute compute) : base("CLIPAttention")
    {
        heads = spec.Heads;
        k_proj = new(spec.Width, spec.Width, compute);
        v_proj = new(spec.Width, spec.Width, compute);
        q_proj = new(spec.Width, spec.Width, compute);
        out_proj = new(spec.Width, spec.Width, compute);
        RegisterComponents();
    }

    /// <param name="x">Token states, [B, N, C].</param>
    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        var (q, k, v) = (Split(q_proj.call(x)), Split(k_proj.call(x)), Split(v_proj.call(x)));
        var mixed = functional.scaled_dot_product_attention(q, k, v, is_casual: true);       // [B, heads, N, C/heads]
        return out_proj.call(mixed.transpose(1, 2).flatten(2)).MoveToOuterDisposeScope();
    }

    // [B, N, C] → [B, heads, N, C/heads]
    private Tensor Split(Tensor tokens) => tokens.unflatten(2, [heads, -1]).transpose(1, 2);
}

/// <summary>Two linear layers around x·σ(1.702x), CLIP-L's approximation of GELU.</summary>
internal sealed class ClipMlp : Module<Tensor, Tensor>
{
    private const double QuickGeluSlope = 1.702;

    private readonly LinearLayer fc1, fc2;

    public ClipMlp(ClipTextSpec spec, Compute compute) : base("CLIPMLP")
    {
        fc1 = new(spec.Width, spec.InnerWidth, compute);
        fc2 = new(spec.InnerWidth, spec.Width, compute);
        RegisterComponents();
    }

    /// <param name="x">Token states, [B, N, C].</param>
    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        var h = fc1.call(x);
        return fc2.call(h * (h * QuickGeluSlope).sigmoid()).MoveToOuterDisposeScope();
    }
}
