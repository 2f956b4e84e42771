using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>Transformer blocks over a feature map's cells, beside a skip.</summary>
/// <remarks>Rombach et al. 2022, https://arxiv.org/abs/2112.10752, appendix E.2.1; keys as in diffusers' <c>attentions.N</c>.</remarks>
public sealed class Transformer2DModel : Module<Tensor, Tensor, Tensor>
{
    private readonly GroupNormLayer norm;
    private readonly AdaptableLayer proj_in;
    private readonly ModuleList<BasicTransformerBlock> transformer_blocks;
    private readonly AdaptableLayer proj_out;

    /// <param name="channels">Channels C of the feature map.</param>
    /// <param name="depth">Transformer blocks.</param>
    public Transformer2DModel(long channels, int depth, UNetSpec spec, Compute compute) : base(nameof(Transformer2DModel))
    {
        norm = new(channels, spec.TransformerNorm, compute);
        proj_in = Projection();
        transformer_blocks = new([.. Enumerable.Range(0, depth).Select(_ => new BasicTransformerBlock(channels, spec.Context, spec.HeadsOf(channels), compute))]);
        proj_out = Projection();
        RegisterComponents();

        AdaptableLayer Projection() => spec.LinearProjections ? new LinearLayer(channels, channels, compute) : new Conv2dLayer(channels, channels, 1, compute);
    }

    /// <param name="x">Feature map, [B, C, H, W].</param>
    /// <param name="context">Text states, [B, M, context].</param>
    /// <returns>[B, C, H, W]; the caller's scope owns it.</returns>
    public override Tensor forward(Tensor x, Tensor context)
    {
        using var scope = NewDisposeScope();
        var (height, width) = (x.size(2), x.size(3));
        var h = MapOrder.PixelsFirst(norm.call(x));      // as tokens lie
        h = proj_in is LinearLayer ? proj_in.call(Tokens(h)) : Tokens(proj_in.call(h));
        foreach (var block in transformer_blocks) h = block.call(h, context);
        h = proj_out is LinearLayer ? Map(proj_out.call(h)) : proj_out.call(Map(h));
        return (x + MapOrder.ChannelsFirst(h)).MoveToOuterDisposeScope();       // libtorch's norms are less exact in the other order

        Tensor Map(Tensor tokens) => tokens.transpose(1, 2).unflatten(2, [height, width]);      // [B, N, C] → [B, C, H, W]
    }

    // [B, C, H, W] → [B, N, C]
    private static Tensor Tokens(Tensor map) => map.flatten(2).transpose(1, 2);
}
