using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>LoHa: ΔW = s·c·(a₁·b₁) ∘ (a₂·b₂), the element-wise product of two low-rank products: of rank up to r² with twice LoRA's numbers.</summary>
/// <remarks>Hyeon-Woo et al. 2021, https://arxiv.org/abs/2108.06098; shapes, initial values and scalar as LyCORIS 4.1.3 <c>modules/loha.py</c>.</remarks>
public sealed class LoHa : Adapter
{
    internal const string A1Name = "hada_w1_a", B1Name = "hada_w1_b", A2Name = "hada_w2_a", B2Name = "hada_w2_b", T1Name = "hada_t1", T2Name = "hada_t2";

    private const double Small = 0.1;
    // Reading and writing an element of a weight costs about so many floating-point operations.
    private const double ElementCost = 60;

    private readonly AdapterParameter a1, b1, a2, b2;
    private readonly AdapterParameter? t1, t2;
    private readonly AdapterParameter scalar;
    private readonly Dora? dora;            // the magnitudes, where they take part
    private readonly Dora? magnitudes;

    /// <param name="site">Where it hangs.</param>
    /// <param name="numbers">Rank, alpha, form and dropouts.</param>
    public LoHa(AdapterSite site, AdapterNumbers numbers) : base(site, numbers)
    {
        var (shape, rank) = (site.Layer.Shape, numbers.Rank);
        var tucker = Form.Tucker && shape.IsSpatial;
        var width = tucker ? shape.In : shape.In * shape.Kernel.H * shape.Kernel.W;
        long[] left = tucker ? [rank, shape.Out] : [shape.Out, rank];
        if (tucker) t1 = Declare(T1Name, [rank, rank, shape.Kernel.H, shape.Kernel.W]);
        (a1, b1) = (Declare(A1Name, left), Declare(B1Name, [rank, width]));
        if (tucker) t2 = Declare(T2Name, [rank, rank, shape.Kernel.H, shape.Kernel.W]);
        (a2, b2) = (Declare(A2Name, left), Declare(B2Name, [rank, width]));
        magnitudes = Dora.Of(Form, site.Layer.Weight.shape, (name, sides) => Declare(name, sides, frozen: Dora.IsIdle(Form)));
        dora = magnitudes?.Acting;
        scalar = Declare(LoCon.ScalarName, [], frozen: !Form.Scalar);
    }

    /// <inheritdoc/>
    public override AdapterFamily Family => AdapterFamilies.LoHa;

    /// <inheritdoc/>
    public override void Initialize(Generator generator)
    {
        using var frozen = no_grad();
        if (t1 is not null) Initial.Normal(t1.Value, Small, generator);
        if (t2 is not null) Initial.Normal(t2.Value, Small, generator);
        Initial.Normal(b1.Value, 1, generator);
        Initial.Normal(a1.Value, Small, generator);
        Initial.Normal(b2.Value, 1, generator);
        if (Form.Scalar) Initial.Normal(a2.Value, Small, generator);
        else a2.Value.zero_();
        scalar.Value.fill_(Form.Scalar ? 0 : 1);
        magnitudes?.Initialize(Site.Layer.Weight);
    }

    /// <inheritdoc/>
    public override Tensor WeightDelta()
    {
        using var scope = NewDisposeScope();
        var product = t1 is null
            ? a1.Value.mm(b1.Value).mul(a2.Value.mm(b2.Value)).view(Site.Layer.Weight.shape)
            : LowRank.Tucker(t1.Value, a1.Value.t(), b1.Value.t()).mul(LowRank.Tucker(t2!.Value, a2.Value.t(), b2.Value.t()));
        return Kept(product.mul(Scale).mul(scalar.Value)).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor Weight(Tensor weight, double strength)
    {
        if (dora is null) return base.Weight(weight, strength);
        using var scope = NewDisposeScope();
        return dora.Weight(weight.add(WeightDelta()), strength).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override Tensor Product(Tensor x, Tensor? y, double strength, Drops? drops)
    {
        using var scope = NewDisposeScope();
        var layer = Site.Layer;
        if (Form.Bypass)
            return (y ?? Base(x)).add(Dropped(layer.Apply(x, WeightDelta().mul(strength).to_type(x.dtype), null))).MoveToOuterDisposeScope();
        if (DropsRows || dora is not null || y is not null || !Pass.Suits(layer)) return base.Product(x, y, strength, drops).MoveToOuterDisposeScope();
        var first = Form.Scalar ? a1.Value.mul(scalar.Value) : a1.Value;
        var factor = (float)(strength * Scale * (Form.Scalar ? 1 : scalar.Value.item<float>()));
        if (!IsChain(x)) return Pass.Run(new HadamardPass(layer, factor), x, first, b1.Value, a2.Value, b2.Value).MoveToOuterDisposeScope();
        // (a₁·b₁) ∘ (a₂·b₂) is itself a product of rank r², column by column and row by row (Khatri-Rao).
        var up = first.unsqueeze(2).mul(a2.Value.unsqueeze(1)).flatten(1);
        var down = b1.Value.unsqueeze(1).mul(b2.Value.unsqueeze(0)).flatten(0, 1);
        return LowRankPass.Run(layer, x, down, up, factor, null).MoveToOuterDisposeScope();
    }

    internal override void BaseChanged() => dora?.BaseChanged();

    internal override RankDrops RankDrops => RankDrops.Rows;

    /// <inheritdoc/>
    public override double? Norm()
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        return WeightDelta().norm().item<float>();
    }

    /// <inheritdoc/>
    public override void Shrink(double ratio)
    {
        using var frozen = no_grad();
        scalar.Value.mul_(ratio);
    }

    /// <inheritdoc/>
    public override IEnumerable<KeyValuePair<string, Tensor>> Saved()
    {
        foreach (var (name, value) in InOrder(base.Saved(), "alpha", Networks.Dora.ScaleName, A1Name, B1Name, A2Name, B2Name, T1Name, T2Name))
            if (name != LoCon.ScalarName) yield return new(name, name == A1Name ? value.mul(scalar.Value) : value);
    }

    /// <inheritdoc/>
    public override void Load(AdapterParts parts)
    {
        using var frozen = no_grad();
        scalar.Value.fill_(1);
        foreach (var parameter in Parameters) if (parameter != scalar) parts.CopyTo(parameter.Name, parameter.Value);
    }

    internal static Adapter? Read(AdapterSite site, AdapterParts parts)
    {
        if (!parts.Has(A1Name, B1Name, A2Name, B2Name) || site.Layer.Shape.IsNorm) return null;
        var numbers = parts.Numbers((int)parts.ShapeOf(B1Name)[0]);
        return parts.Sized(new LoHa(site, numbers with { Form = parts.Form with { Tucker = parts.Has(T1Name, T2Name), Dora = Dora.AxisOf(parts, site) } }));
    }

    // Whether a product of rank r² costs less than making the weight, and its gradient, whole.
    private bool IsChain(Tensor x)
    {
        var (shape, rank) = (Site.Layer.Shape, (double)Numbers.Rank);
        double tokens = x.numel() / shape.In, elements = shape.In * shape.Out;
        return 3 * tokens * rank * rank * (shape.In + shape.Out) < tokens * elements + elements * (8 * rank + ElementCost);
    }
}

public static partial class AdapterFamilies
{
    /// <summary>LyCORIS' LoHa.</summary>
    public static AdapterFamily LoHa { get; } = new(
        "loha", "Element-wise product of two low-rank products (LyCORIS)", new("https://arxiv.org/abs/2108.06098"),
        [Networks.LoHa.A1Name, Networks.LoHa.B1Name, Networks.LoHa.A2Name, Networks.LoHa.B2Name, Networks.LoHa.T1Name, Networks.LoHa.T2Name, Networks.Dora.ScaleName],
        (site, numbers) => new LoHa(site, numbers), Networks.LoHa.Read)
    {
        Origin = AdapterOrigin.Lycoris,
        Advice = "Several concepts, and generalisation: the strongest dampening. Rank up to 32, above it numbers overflow; alpha up to half the rank.",
    };
}
