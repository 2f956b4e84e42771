using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>How a model normalises groups of channels.</summary>
/// <param name="Groups">Groups the channels are cut into.</param>
/// <param name="Epsilon">Added to the variance; it decides where activations are quiet.</param>
public sealed record GroupNormSpec(long Groups, double Epsilon);

/// <summary>Group normalisation (Wu and He 2018, https://arxiv.org/abs/1803.08494), weights filled from the file, open to adapters.</summary>
public sealed class GroupNormLayer : AdaptableLayer
{
    private readonly GroupNormSpec spec;

    /// <param name="channels">Channels of the feature map.</param>
    public GroupNormLayer(long channels, GroupNormSpec spec, Compute compute)
        : base(nameof(GroupNormLayer), LayerShape.OfNorm(LayerKind.GroupNorm, channels), [channels], hasBias: true, compute) => this.spec = spec;

    /// <summary>Mean and variance of each group, [B, G, 1], in place of the map's own: a tile is normalised like the whole it was cut from. Whoever sets them disposes them.</summary>
    internal (Tensor Mean, Tensor Variance)? Given { get; set; }

    /// <inheritdoc/>
    protected override Tensor Compute(Tensor x, Tensor weight, Tensor? bias, bool own)
    {
        if (Given is not { } given) return functional.group_norm(x, spec.Groups, weight, bias, spec.Epsilon);
        using var scope = NewDisposeScope();
        var groups = x.reshape(x.size(0), spec.Groups, -1);
        var normed = ((groups - given.Mean) * (given.Variance + spec.Epsilon).rsqrt()).view_as(x);
        return (normed * weight.view(1, -1, 1, 1) + bias!.view(1, -1, 1, 1)).MoveToOuterDisposeScope();
    }
}

/// <summary>Layer normalisation over the last dimension (Ba et al. 2016, https://arxiv.org/abs/1607.06450), weights filled from the file, open to adapters.</summary>
public sealed class LayerNormLayer : AdaptableLayer
{
    private readonly long[] shape;
    private readonly double epsilon;

    /// <param name="width">Width of the last dimension.</param>
    public LayerNormLayer(long width, double epsilon, Compute compute)
        : base(nameof(LayerNormLayer), LayerShape.OfNorm(LayerKind.LayerNorm, width), [width], hasBias: true, compute)
    {
        shape = [width];
        this.epsilon = epsilon;
    }

    /// <inheritdoc/>
    protected override Tensor Compute(Tensor x, Tensor weight, Tensor? bias, bool own) => functional.layer_norm(x, shape, weight, bias, epsilon);
}
