using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>How a model normalises groups of channels.</summary>
/// <param name="Groups">Groups the channels are cut into.</param>
/// <param name="Epsilon">Added to the variance; it decides where activations are quiet.</param>
public sealed record GroupNormSpec(long Groups, double Epsilon);

/// <summary>Group normalisation (Wu and He 2018, https://arxiv.org/abs/1803.08494), weights filled from the file.</summary>
public sealed class GroupNormLayer : Module<Tensor, Tensor>
{
    private readonly Parameter weight, bias;
    private readonly GroupNormSpec spec;

    /// <param name="channels">Channels of the feature map.</param>
    public GroupNormLayer(long channels, GroupNormSpec spec, Compute compute) : base(nameof(GroupNormLayer))
    {
        this.spec = spec;
        weight = Frozen.Empty(compute, channels);
        bias = Frozen.Empty(compute, channels);
        RegisterComponents();
    }

    /// <param name="x">Feature map, [B, C, H, W].</param>
    public override Tensor forward(Tensor x) => functional.group_norm(x, spec.Groups, weight, bias, spec.Epsilon);
}

/// <summary>Layer normalisation over the last dimension (Ba et al. 2016, https://arxiv.org/abs/1607.06450), weights filled from the file.</summary>
public sealed class LayerNormLayer : Module<Tensor, Tensor>
{
    private readonly Parameter weight, bias;
    private readonly long[] shape;
    private readonly double epsilon;

    /// <param name="width">Width of the last dimension.</param>
    public LayerNormLayer(long width, double epsilon, Compute compute) : base(nameof(LayerNormLayer))
    {
        shape = [width];
        this.epsilon = epsilon;
        weight = Frozen.Empty(compute, width);
        bias = Frozen.Empty(compute, width);
        RegisterComponents();
    }

    /// <param name="x">Tokens, [..., C].</param>
    public override Tensor forward(Tensor x) => functional.layer_norm(x, shape, weight, bias, epsilon);
}
