using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>What the orthogonal families have in common: the layer's output rows are turned by an orthogonal matrix, trained as a skew one.</summary>
/// <remarks>
/// R = (I + Q)(I − Q)⁻¹ for Q = B − Bᵀ (Cayley); B starts at 0, so R at I. At strength m, R is m·R + (1 − m)·I. While training the outputs are turned
/// instead of the weight: the same numbers without a gradient as large as the weight.
/// </remarks>
public abstract class OutputRotation : Adapter
{
    internal const string BlocksName = "oft_blocks", RescaleName = "rescale", AlphaName = "alpha";

    private protected readonly AdapterParameter blocks;
    private readonly AdapterParameter? rescale;

    /// <param name="site">Where it hangs.</param>
    /// <param name="numbers">Form and dropouts.</param>
    /// <param name="shape">Shape of the blocks; the last two sides are a block.</param>
    private protected OutputRotation(AdapterSite site, AdapterNumbers numbers, long[] shape) : base(site, numbers)
    {
        blocks = Declare(BlocksName, shape);
        if (Form.Rescaled) rescale = Declare(RescaleName, [site.Layer.Shape.Out, .. Enumerable.Repeat(1L, (int)site.Layer.Weight.dim() - 1)]);
    }

    /// <inheritdoc/>
    public override double Scale => 1;

    /// <inheritdoc/>
    protected override double SavedAlpha => Form.Constraint;

    /// <inheritdoc/>
    public override bool PrefersWeight => true;

    /// <inheritdoc/>
    public override void Initialize(Generator generator)
    {
        using var frozen = no_grad();
        blocks.Value.zero_();
        rescale?.Value.fill_(1);
    }

    /// <inheritdoc/>
    public override Tensor WeightDelta()
    {
        using var scope = NewDisposeScope();
        var full = Site.Layer.Weight.to_type(ScalarType.Float32);
        return Weight(full, 1).sub(full).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor Weight(Tensor weight, double strength)
    {
        using var scope = NewDisposeScope();
        var turned = Turn(weight.reshape(1, weight.shape[0], -1), Matrices(strength)).view(weight.shape);
        return (rescale is null ? turned : turned.mul(rescale.Value)).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor? Bias(Tensor? bias, double strength)
    {
        if (!Form.Bypass || bias is null) return bias;
        using var scope = NewDisposeScope();
        return Turn(bias.view(1, -1, 1), Matrices(strength)).view(bias.shape).MoveToOuterDisposeScope();
    }

    internal override RankDrops RankDrops => RankDrops.Own;

    /// <inheritdoc/>
    protected override Tensor Product(Tensor x, Tensor? y, double strength, Drops? drops)
    {
        if (y is not null) return base.Product(x, y, strength, drops);
        using var scope = NewDisposeScope();
        var layer = Site.Layer;
        // In bypass mode LyCORIS turns the bias too, and leaves the factors on rows out.
        var plain = layer.Apply(x, layer.Weight, Form.Bypass ? layer.Bias : null);
        var matrices = Matrices(strength).to_type(x.dtype);
        var turned = layer.Shape.Kind == LayerKind.Linear
            ? Turn(plain.reshape(-1, layer.Shape.Out).t().unsqueeze(0), matrices).squeeze(0).t().reshape(plain.shape)
            : Turn(plain.flatten(2), matrices).view(plain.shape);
        if (Form.Bypass) return turned.MoveToOuterDisposeScope();
        if (rescale is not null) turned = turned.mul(LayerMatrices.OverChannels(layer, rescale.Value.to_type(x.dtype)));
        return (layer.Bias is { } bias ? turned.add(LayerMatrices.OverChannels(layer, bias.to_type(x.dtype))) : turned).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override double? Norm()
    {
        using var frozen = no_grad();
        using var norm = blocks.Value.norm();
        return norm.item<float>();
    }

    /// <inheritdoc/>
    public override void Shrink(double ratio)
    {
        using var frozen = no_grad();
        blocks.Value.mul_(ratio);
    }

    /// <inheritdoc/>
    public override IEnumerable<KeyValuePair<string, Tensor>> Saved()
    {
        yield return new(BlocksName, blocks.Value);
        if (rescale is not null) yield return new(RescaleName, rescale.Value);
        yield return new(AlphaName, AlphaTensor());
    }

    /// <summary>Turns rows: [B, Out, P] with the matrices of <see cref="Matrices"/>. The caller's scope owns it.</summary>
    private protected abstract Tensor Turn(Tensor rows, Tensor matrices);

    /// <summary>Q, no longer than the constraint allows.</summary>
    private protected virtual Tensor Limited(Tensor q)
    {
        const double Tiny = 1e-8;
        var limit = Form.Constraint * Site.Layer.Shape.Out;
        if (limit <= 0) return q;
        var size = q.norm().add(Tiny);
        return size.item<float>() > limit ? q.mul(limit).div(size) : q;
    }

    /// <summary>What dropout does to the rotation before it is weighed against standing still.</summary>
    private protected virtual Tensor Dropping(Tensor rotations) => rotations;

    // Of several large matrices at once, on several threads, libtorch's LU decomposition hands oneMKL pivots that are not there yet, and fails.
    private static Tensor Inverse(Tensor blocks)
    {
        const long SafeSide = 64;
        return blocks.shape[^1] <= SafeSide ? linalg.inv(blocks) : stack([.. blocks.flatten(0, -3).unbind(0).Select(linalg.inv)]).view(blocks.shape);
    }

    // m·R + (1 − m)·I for every block.
    private Tensor Matrices(double strength)
    {
        var q = Limited(blocks.Value.sub(blocks.Value.transpose(-1, -2)));
        var one = eye(q.shape[^1], dtype: q.dtype, device: q.device);
        var turned = one.add(q).matmul(Inverse(one.sub(q)));
        var weighed = Dropping(strength == 1 ? turned : turned.mul(strength));
        return strength == 1 ? weighed : weighed.add(one, 1 - strength);
    }
}
