using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>(IA)³: one trained factor for each output row, or each input channel: W' = W ∘ (1 + m·w).</summary>
/// <remarks>Liu et al. 2022, https://arxiv.org/abs/2205.05638; tensors as LyCORIS 4.1.3 <c>modules/ia3.py</c>. The bias stays as it is, but in bypass mode.</remarks>
public sealed class Ia3 : Adapter
{
    internal const string WeightName = "weight", OnInputName = "on_input";

    private readonly AdapterParameter factors;

    /// <param name="site">Where it hangs.</param>
    /// <param name="numbers">Form and dropouts; rank and alpha mean nothing here.</param>
    public Ia3(AdapterSite site, AdapterNumbers numbers) : base(site, numbers)
    {
        var shape = site.Layer.Shape;
        var width = Form.OnInput ? shape.In : shape.Out;
        factors = Declare(WeightName, shape.Kind == LayerKind.Linear ? [width] : [1, width, 1, 1]);
    }

    /// <inheritdoc/>
    public override AdapterFamily Family => AdapterFamilies.Ia3;

    /// <inheritdoc/>
    public override double Scale => 1;

    /// <inheritdoc/>
    public override bool PrefersWeight => false;

    /// <inheritdoc/>
    public override void Initialize(Generator generator)
    {
        using var frozen = no_grad();
        factors.Value.zero_();
    }

    /// <inheritdoc/>
    public override Tensor WeightDelta() => Site.Layer.Weight.to_type(ScalarType.Float32).mul(OverWeight());

    /// <inheritdoc/>
    public override Tensor Weight(Tensor weight, double strength)
    {
        using var scope = NewDisposeScope();
        return weight.mul(OverWeight().mul(strength).add(1)).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor? Bias(Tensor? bias, double strength) =>
        Form is { Bypass: true, OnInput: false } && bias is not null ? bias.mul(factors.Value.flatten().mul(strength).add(1)) : bias;

    internal override RankDrops RankDrops => RankDrops.Own;

    /// <inheritdoc/>
    protected override Tensor Product(Tensor x, Tensor? y, double strength, Drops? drops)
    {
        if (y is not null) return base.Product(x, y, strength, drops);
        using var scope = NewDisposeScope();
        var layer = Site.Layer;
        var over = LayerMatrices.OverChannels(layer, factors.Value.mul(strength).add(1).to_type(x.dtype));
        if (Form.OnInput) return layer.Apply(x.mul(over), layer.Weight, layer.Bias).MoveToOuterDisposeScope();
        if (Form.Bypass) return Base(x).mul(over).MoveToOuterDisposeScope();
        var scaled = layer.Apply(x, layer.Weight, null).mul(over);
        return (layer.Bias is { } bias ? scaled.add(LayerMatrices.OverChannels(layer, bias.to_type(x.dtype))) : scaled).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override IEnumerable<KeyValuePair<string, Tensor>> Saved()
    {
        yield return new(WeightName, factors.Value);
        yield return new(OnInputName, tensor(Form.OnInput ? 1L : 0L));
    }

    internal static Adapter? Read(AdapterSite site, AdapterParts parts)
    {
        if (!parts.Has(WeightName, OnInputName) || site.Layer.Shape.IsNorm) return null;
        return parts.Sized(new Ia3(site, new(1, 1) { Form = new() { OnInput = parts.Number(OnInputName) != 0 } }));
    }

    // Shaped to be multiplied with the layer's weight: over its columns, or over its rows.
    private Tensor OverWeight() => Form.OnInput
        ? factors.Value.view([1, -1, .. Enumerable.Repeat(1L, (int)Site.Layer.Weight.dim() - 2)])
        : factors.Value.view([-1, .. Enumerable.Repeat(1L, (int)Site.Layer.Weight.dim() - 1)]);
}

public static partial class AdapterFamilies
{
    /// <summary>(IA)³.</summary>
    public static AdapterFamily Ia3 { get; } = new(
        "ia3", "One factor for each output row or input channel (LyCORIS)", new("https://arxiv.org/abs/2205.05638"),
        [Networks.Ia3.WeightName, Networks.Ia3.OnInputName], (site, numbers) => new Ia3(site, numbers), Networks.Ia3.Read)
    {
        Origin = AdapterOrigin.Lycoris,
        Advice = "Tiny files that only fit their own base. It needs 8 to 10 times the usual rate (5e-3 to 1e-2, Prodigy with d_coef 8 to 10), and cosine or linear decay.",
    };
}
