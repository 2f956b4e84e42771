using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>LyCORIS' LoCon: ΔW = s·c·up·down on linear layers and convolutions, with a core between them in its Tucker form, and with DoRA.</summary>
/// <remarks>
/// LyCORIS 4.1.3 <c>modules/locon.py</c>; Tucker form Yeh et al. 2023, https://arxiv.org/abs/2309.14859, appendix. c is the scalar: trained from 0 where the
/// form asks for it, else 1; a limit of norms acts on it, and it is folded into up when saved.
/// </remarks>
public sealed class LoCon : Adapter
{
    internal const string DownName = LierLa.DownName, UpName = LierLa.UpName, MidName = "lora_mid.weight", ScalarName = "scalar";

    private readonly AdapterParameter down, up;
    private readonly AdapterParameter? mid;
    private readonly AdapterParameter scalar;
    private readonly Dora? dora;            // the magnitudes, where they take part
    private readonly Dora? magnitudes;

    /// <param name="site">Where it hangs.</param>
    /// <param name="numbers">Rank, alpha, form and dropouts.</param>
    public LoCon(AdapterSite site, AdapterNumbers numbers) : base(site, numbers)
    {
        var (shape, rank) = (site.Layer.Shape, numbers.Rank);
        var (linear, tucker) = (shape.Kind == LayerKind.Linear, Form.Tucker && shape.IsSpatial);
        scalar = Declare(ScalarName, [], frozen: !Form.Scalar);
        magnitudes = Dora.Of(Form, site.Layer.Weight.shape, (name, sides) => Declare(name, sides, frozen: Dora.IsIdle(Form)));
        dora = magnitudes?.Acting;
        up = Declare(UpName, linear ? [shape.Out, rank] : [shape.Out, rank, 1, 1], plus: true);
        down = Declare(DownName, linear ? [rank, shape.In] : tucker ? [rank, shape.In, 1, 1] : [rank, shape.In, shape.Kernel.H, shape.Kernel.W]);
        if (tucker) mid = Declare(MidName, [rank, rank, shape.Kernel.H, shape.Kernel.W]);
    }

    /// <inheritdoc/>
    public override AdapterFamily Family => dora is null ? AdapterFamilies.LoCon : AdapterFamilies.Dora;

    /// <inheritdoc/>
    public override bool PrefersWeight => dora is not null || LierLa.IsLarge(Site.Layer, down.Length + up.Length + (mid?.Length ?? 0));

    /// <inheritdoc/>
    public override void Initialize(Generator generator)
    {
        using var frozen = no_grad();
        // LyCORIS makes its modules with torch's own initialisation, which costs random numbers, and then draws anew.
        Initial.Made(down.Value, generator);
        if (mid is not null) Initial.Made(mid.Value, generator);
        Initial.Made(up.Value, generator);
        Initial.KaimingUniform(down.Value, generator);
        if (Form.Scalar) Initial.KaimingUniform(up.Value, generator);
        else up.Value.zero_();
        if (mid is not null) Initial.KaimingUniform(mid.Value, generator);
        scalar.Value.fill_(Form.Scalar ? 0 : 1);
        magnitudes?.Initialize(Site.Layer.Weight);
    }

    /// <inheritdoc/>
    public override Tensor WeightDelta()
    {
        using var scope = NewDisposeScope();
        return Kept(Scaled(Product(up.Value, down.Value).view(Site.Layer.Weight.shape))).MoveToOuterDisposeScope();
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
        if (DropsRows || (dora is not null && (y is not null || !Pass.Suits(Site.Layer)))) return base.Product(x, y, strength, drops);
        using var scope = NewDisposeScope();
        if (dora is not null) return Decomposed(x, strength).MoveToOuterDisposeScope();
        var factor = strength * Scale;
        var fused = y is null && mid is null && LowRankPass.Suits(Site.Layer, x, drops?.Mask) && !(Form.Bypass && Numbers.Dropout > 0);
        if (fused && !Form.Scalar)
        {
            factor *= scalar.Value.item<float>();
            var mask = drops?.Mask?.expand([.. InnerRows(x), Numbers.Rank]);
            return (down.GradientMatrix is null || up.GradientMatrix is null
                ? LowRankPass.Run(Site.Layer, x, down.Value, up.Value, (float)factor, MaskFor(mask, x))
                : LowRankPass.Run(Site.Layer, x, down, up, (float)factor, MaskFor(mask, x))).MoveToOuterDisposeScope();
        }
        var added = LowRank.OnActivations(Site.Layer, x, down.Value, mid?.Value, up.Value, inner => drops?.Mask is { } kept
            ? inner.mul(Site.Layer.Shape.Kind == LayerKind.Conv2d ? kept.view(-1, 1, 1) : kept) : inner);
        return (y ?? Base(x)).add(Dropped(added.mul(scalar.Value.to_type(x.dtype)).mul(factor))).MoveToOuterDisposeScope();
    }

    internal override void BaseChanged() => dora?.BaseChanged();

    /// <inheritdoc/>
    public override double? Norm()
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var size = mid is null ? LowRank.Norm(Kept(up.Value), down.Value) : Kept(Product(up.Value, down.Value)).norm().item<float>();
        return Math.Abs(Scale * scalar.Value.item<float>()) * size;
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
        foreach (var (name, value) in InOrder(base.Saved(), Networks.Dora.ScaleName, "alpha", UpName, DownName, MidName))
            if (name != ScalarName) yield return new(name, name == UpName ? value.mul(scalar.Value) : value);
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
        if (!parts.Has(DownName, UpName) || site.Layer.Shape.IsNorm) return null;
        var numbers = parts.Numbers((int)parts.ShapeOf(DownName)[0]);
        return parts.Sized(new LoCon(site, numbers with { Form = parts.Form with { Tucker = parts.Has(MidName), Dora = Dora.AxisOf(parts, site) } }));
    }

    // y = b + d/‖V‖ ∘ (V·x) for magnitudes of rows, y = b + V·(d/‖V‖ ∘ x) for those of input channels.
    private Tensor Decomposed(Tensor x, double strength)
    {
        var layer = Site.Layer;
        var (a, b) = (down.Value.flatten(1), up.Value.flatten(1).mul(scalar.Value).mul(Scale));
        var factor = LayerMatrices.OverChannels(layer, dora!.Factor(BaseMatrix(), a, b, strength).to_type(x.dtype));
        if (!dora.OnOutput) return LowRankPass.Run(layer, x.mul(factor), a, b, 1, null);
        var y = LowRankPass.Run(layer, x, a, b, 1, null, withBias: false).mul(factor);
        return layer.Bias is { } bias ? y.add(LayerMatrices.OverChannels(layer, bias.to_type(x.dtype))) : y;
    }

    private Tensor Product(Tensor up, Tensor down) => mid is null
        ? up.flatten(1).mm(down.flatten(1))
        : LowRank.Tucker(mid.Value, up.flatten(1), down.flatten(1).t());

    private Tensor Scaled(Tensor product) => product.mul(Scale).mul(scalar.Value);

    private long[] InnerRows(Tensor x) => Site.Layer.Shape.Kind == LayerKind.Linear ? x.shape[..^1] : [x.shape[0], x.shape[2], x.shape[3]];

    // A mask over the rank's channels, in the memory order of what the layer received.
    private Tensor? MaskFor(Tensor? mask, Tensor x) => mask is null ? null
        : Site.Layer.Shape.Kind == LayerKind.Linear ? mask.to_type(x.dtype).contiguous() : mask.to_type(x.dtype).contiguous().permute(0, 3, 1, 2);
}

public static partial class AdapterFamilies
{
    /// <summary>LyCORIS' LoCon.</summary>
    public static AdapterFamily LoCon { get; } = new(
        "locon", "Low-rank product on linear layers and convolutions (LyCORIS)", new("https://arxiv.org/abs/2309.14859"),
        [LierLa.DownName, LierLa.UpName, Networks.LoCon.MidName], (site, numbers) => new LoCon(site, numbers), Networks.LoCon.Read)
    {
        Origin = AdapterOrigin.Lycoris,
        Advice = "The style and concept default: it carries style strongly, so on characters it is rigid. Rank up to 64, alpha 1 to half the rank.",
    };

    /// <summary>LoCon with DoRA.</summary>
    public static AdapterFamily Dora { get; } = new(
        "dora", "LoCon with magnitudes of their own for the weight's rows or channels (LyCORIS' dora_wd)", new("https://arxiv.org/abs/2402.09353"),
        [LierLa.DownName, LierLa.UpName, Networks.Dora.ScaleName],
        (site, numbers) => new LoCon(site, numbers.Form.Dora != DoraAxis.None ? numbers : numbers with { Form = numbers.Form with { Dora = DoraAxis.Output } }), Networks.LoCon.Read)
    {
        Origin = AdapterOrigin.Lycoris,
        Advice = "Helps at low rank and is slower to converge; use a lower rate than for LoCon. The webui reads network.dora = \"input\" only, at strength 1.",
    };
}
