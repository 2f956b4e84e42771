using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>GLoRA: ΔW = s·c·(B₁·B₂ + W·A₁·A₂): a low-rank product beside the weight, and one before it.</summary>
/// <remarks>
/// Chavan et al. 2023, https://arxiv.org/abs/2306.07967; tensors as LyCORIS 4.1.3 <c>modules/glora.py</c>. Files from before LyCORIS 3.0 have the
/// halves the other way round, and are recognised by it.
/// </remarks>
public sealed class Glora : Adapter
{
    internal const string A1Name = "a1.weight", A2Name = "a2.weight", B1Name = "b1.weight", B2Name = "b2.weight";

    private readonly AdapterParameter a1, a2, b1, b2;
    private readonly AdapterParameter scalar;

    /// <param name="site">Where it hangs.</param>
    /// <param name="numbers">Rank, alpha, form and dropouts.</param>
    public Glora(AdapterSite site, AdapterNumbers numbers) : base(site, numbers)
    {
        var (shape, rank) = (site.Layer.Shape, numbers.Rank);
        long[] sides(long first, long second, bool spatial = false) => shape.Kind == LayerKind.Linear ? [first, second]
            : spatial ? [first, second, shape.Kernel.H, shape.Kernel.W] : [first, second, 1, 1];
        (a2, a1) = (Declare(A2Name, sides(rank, shape.In)), Declare(A1Name, sides(shape.In, rank)));
        (b2, b1) = (Declare(B2Name, sides(rank, shape.In, spatial: true)), Declare(B1Name, sides(shape.Out, rank)));
        scalar = Declare(LoCon.ScalarName, [], frozen: !Form.Scalar);
    }

    /// <inheritdoc/>
    public override AdapterFamily Family => AdapterFamilies.Glora;

    /// <inheritdoc/>
    public override bool PrefersWeight => true;

    /// <inheritdoc/>
    // L-04: LyCORIS saves the plain alpha although it trains with alpha ÷ √rank.
    protected override double SavedAlpha => Form is { RankStabilized: true, AsLycoris: true } ? Numbers.Alpha : base.SavedAlpha;

    /// <inheritdoc/>
    public override void Initialize(Generator generator)
    {
        using var frozen = no_grad();
        foreach (var made in new[] { a2, a1, b2, b1 }) Initial.Made(made.Value, generator);
        Initial.KaimingUniform(a1.Value, generator);
        Initial.KaimingUniform(b1.Value, generator);
        zeroed(a2);
        zeroed(b2);
        scalar.Value.fill_(Form.Scalar ? 0 : 1);

        void zeroed(AdapterParameter parameter)
        {
            if (Form.Scalar) Initial.KaimingUniform(parameter.Value, generator);
            else parameter.Value.zero_();
        }
    }

    /// <inheritdoc/>
    public override Tensor WeightDelta() => DeltaOf(Site.Layer.Weight.to_type(ScalarType.Float32));

    /// <inheritdoc/>
    public override Tensor Weight(Tensor weight, double strength)
    {
        // Of the layer's own weight, whatever else hangs before this adapter: as it was trained.
        using var scope = NewDisposeScope();
        return weight.add(WeightDelta(), strength).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override Tensor Product(Tensor x, Tensor? y, double strength, Drops? drops)
    {
        using var scope = NewDisposeScope();
        var layer = Site.Layer;
        var factor = scalar.Value.mul(strength * Scale).to_type(x.dtype);
        var (keptA, keptB) = Form.Bypass && Numbers.RankDropout is > 0 and var share && DropoutSource is { } source ? (Mask(source, share, x), Mask(source, share, x)) : (null, null);
        Tensor kept(Tensor inner, Tensor? mask) => mask is null ? inner : inner.mul(mask);
        var before = Dropped(Pointwise(a1, kept(Pointwise(a2, x), keptA)).mul(factor));
        var beside = Dropped(LowRank.OnActivations(layer, x, b2.Value, null, b1.Value, inner => kept(inner, keptB)).mul(factor));
        var output = y is null ? layer.Apply(x.add(before), layer.Weight, layer.Bias) : y.add(layer.Apply(before, layer.Weight, null));
        return output.add(beside).MoveToOuterDisposeScope();
    }

    // In bypass mode it has masks of its own; otherwise LyCORIS drops none of its ranks.
    internal override RankDrops RankDrops => RankDrops.Own;

    /// <inheritdoc/>
    public override IEnumerable<KeyValuePair<string, Tensor>> Saved()
    {
        foreach (var (name, value) in InOrder(base.Saved(), "alpha", A1Name, A2Name, B1Name, B2Name))
            if (name != LoCon.ScalarName) yield return new(name, name is A2Name or B2Name ? value.mul(scalar.Value) : value);
    }

    /// <inheritdoc/>
    public override void Load(AdapterParts parts)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        scalar.Value.fill_(1);
        var (first, second) = IsOld(Site, parts) ? (1, 0) : (0, 1);
        foreach (var (parameters, names) in new (AdapterParameter[], string[])[] { ([a1, a2], [A1Name, A2Name]), ([b1, b2], [B1Name, B2Name]) })
        {
            parts.CopyTo(names[first], parameters[0].Value);
            parts.CopyTo(names[second], parameters[1].Value);
        }
    }

    internal static Adapter? Read(AdapterSite site, AdapterParts parts)
    {
        if (!parts.Has(A1Name, A2Name, B1Name, B2Name) || site.Layer.Shape.IsNorm) return null;
        var (old, shape) = (IsOld(site, parts), site.Layer.Shape);
        var rank = parts.ShapeOf(A1Name)[old ? 0 : 1];
        parts.Expect(site, old ? A2Name : A1Name, [shape.In, rank]);
        parts.Expect(site, old ? A1Name : A2Name, [rank, shape.In]);
        parts.Expect(site, old ? B2Name : B1Name, [shape.Out, rank]);
        parts.Expect(site, old ? B1Name : B2Name, [rank, shape.In, shape.Kernel.H, shape.Kernel.W]);
        return new Glora(site, parts.Numbers((int)rank));
    }

    // Before LyCORIS 3.0 a1 was [r, In]. With r = In both readings have the same shapes, and the present one is taken.
    private static bool IsOld(AdapterSite site, AdapterParts parts) =>
        parts.ShapeOf(A1Name)[0] != site.Layer.Shape.In && parts.ShapeOf(A1Name) is [_, var second, ..] && second == site.Layer.Shape.In;

    private Tensor DeltaOf(Tensor weight)
    {
        using var scope = NewDisposeScope();
        var beside = b1.Value.flatten(1).mm(b2.Value.flatten(1)).view(weight.shape);
        // W contracted over its input channels: [Out, In, …]·[In, r]·[r, In].
        var before = weight.dim() == 2 ? weight.mm(a1.Value).mm(a2.Value)
            : weight.flatten(2).transpose(1, 2).matmul(a1.Value.flatten(1)).matmul(a2.Value.flatten(1)).transpose(1, 2).reshape(weight.shape);
        return beside.add(before).mul(Scale).mul(scalar.Value).MoveToOuterDisposeScope();
    }

    private Tensor Pointwise(AdapterParameter parameter, Tensor x) => Site.Layer.Shape.Kind == LayerKind.Linear
        ? nn.functional.linear(x, parameter.Value.to_type(x.dtype)) : nn.functional.conv2d(x, parameter.Value.to_type(x.dtype));

    // L-05: LyCORIS keeps the share that should go.
    private Tensor Mask(Generator source, double share, Tensor x)
    {
        var kept = Dropouts.Kept(Numbers.Rank, share, source);
        if (Form.AsLycoris) kept = kept.neg().add(1);
        if (Form.ScaledRankDropout) kept = kept.div(kept.mean());
        return LayerMatrices.OverChannels(Site.Layer, kept.to_type(x.dtype));
    }
}

public static partial class AdapterFamilies
{
    /// <summary>LyCORIS' GLoRA.</summary>
    public static AdapterFamily Glora { get; } = new(
        "glora", "A low-rank product beside the weight and one before it (LyCORIS)", new("https://arxiv.org/abs/2306.07967"),
        [Networks.Glora.A1Name, Networks.Glora.A2Name, Networks.Glora.B1Name, Networks.Glora.B2Name], (site, numbers) => new Glora(site, numbers), Networks.Glora.Read)
    {
        Origin = AdapterOrigin.Lycoris,
        KeepsWholeAlpha = true,
        Advice = "An experiment: few programs load its files, and the webui only those from before LyCORIS 3.0.",
    };
}
