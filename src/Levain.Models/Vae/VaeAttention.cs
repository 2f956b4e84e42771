using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>One head of self attention over all cells of the autoencoder's smallest map, beside a skip.</summary>
/// <remarks>Keys as in diffusers' <c>mid_block.attentions.0</c>.</remarks>
internal sealed class VaeAttention : Module<Tensor, Tensor>
{
    private readonly GroupNormLayer group_norm;
    private readonly LinearLayer to_q, to_k, to_v;
    private readonly ModuleList<LinearLayer> to_out;

    public VaeAttention(long channels, GroupNormSpec norm, Compute compute) : base("Attention")
    {
        group_norm = new(channels, norm, compute);
        to_q = new(channels, channels, compute);
        to_k = new(channels, channels, compute);
        to_v = new(channels, channels, compute);
        to_out = new(new LinearLayer(channels, channels, compute));
        RegisterComponents();
    }

    /// <param name="x">[B, C, H, W].</param>
    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        var tokens = group_norm.call(x).flatten(2).transpose(1, 2);                                  // [B, H·W, C]
        var mixed = Attention.Mix(Head(to_q), Head(to_k), Head(to_v)).squeeze(1);
        return (x + to_out[0].call(mixed).transpose(1, 2).view_as(x)).MoveToOuterDisposeScope();

        Tensor Head(LinearLayer layer) => layer.call(tokens).unsqueeze(1);
    }
}

/// <summary>The autoencoder's lowest level: attention between two resnets.</summary>
internal sealed class VaeMiddle : Module<Tensor, Tensor>
{
    private readonly ModuleList<VaeAttention> attentions;
    private readonly ModuleList<ResnetBlock2D> resnets;

    public VaeMiddle(long channels, GroupNormSpec norm, Compute compute) : base("UNetMidBlock2D")
    {
        attentions = new(new VaeAttention(channels, norm, compute));
        resnets = new(Resnet(), Resnet());
        RegisterComponents();

        ResnetBlock2D Resnet() => new(channels, channels, timeChannels: 0, norm, compute);
    }

    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        return resnets[1].call(attentions[0].call(resnets[0].call(x, null)), null).MoveToOuterDisposeScope();
    }
}
