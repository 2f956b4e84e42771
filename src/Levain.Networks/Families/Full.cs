using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>The whole weight and bias of a layer, trained as a copy and saved as the difference.</summary>
/// <remarks>
/// LyCORIS 4.1.3 <c>modules/full.py</c>. The trained tensors are the layer's own numbers, not differences, so that weight decay pulls them towards 0 as there.
/// </remarks>
public sealed class Full : Adapter
{
    internal const string DiffName = "diff", DiffBiasName = "diff_b";

    private readonly AdapterParameter weight;
    private readonly AdapterParameter? bias;

    /// <param name="site">Where it hangs.</param>
    /// <param name="numbers">Dropouts; rank and alpha mean nothing here.</param>
    public Full(AdapterSite site, AdapterNumbers numbers) : base(site, numbers)
    {
        weight = Declare("weight", site.Layer.Weight.shape);
        if (site.Layer.Bias is { } own) bias = Declare("bias", own.shape);
    }

    /// <inheritdoc/>
    public override AdapterFamily Family => AdapterFamilies.Full;

    /// <inheritdoc/>
    public override double Scale => 1;

    /// <inheritdoc/>
    public override void Initialize(Generator generator)
    {
        using var frozen = no_grad();
        weight.Value.copy_(Site.Layer.Weight);
        bias?.Value.copy_(Site.Layer.Bias!);
    }

    /// <inheritdoc/>
    public override Tensor WeightDelta() => Kept(weight.Value.sub(Site.Layer.Weight));

    /// <inheritdoc/>
    public override Tensor? BiasDelta() => bias?.Value.sub(Site.Layer.Bias!);

    /// <inheritdoc/>
    protected override Tensor Product(Tensor x, Tensor? y, double strength, Drops? drops) => y is null && strength == 1 && !DropsRows
        ? Site.Layer.Apply(x, weight.Value.to_type(x.dtype), bias?.Value.to_type(x.dtype))
        : base.Product(x, y, strength, drops);

    internal override RankDrops RankDrops => RankDrops.Own;

    /// <inheritdoc/>
    public override IEnumerable<KeyValuePair<string, Tensor>> Saved()
    {
        yield return new(DiffName, WeightDelta());
        if (BiasDelta() is { } shift) yield return new(DiffBiasName, shift);
    }

    /// <inheritdoc/>
    public override void Load(AdapterParts parts)
    {
        Initialize(null!);
        parts.AddTo(DiffName, weight.Value);
        if (bias is not null && parts.Has(DiffBiasName)) parts.AddTo(DiffBiasName, bias.Value);
    }

    internal static Adapter? Read(AdapterSite site, AdapterParts parts)
    {
        if (!parts.Has(DiffName) || site.Layer.Shape.IsNorm) return null;
        parts.Expect(site, DiffName, site.Layer.Weight.shape);
        if (parts.Has(DiffBiasName) && site.Layer.Bias is { } bias) parts.Expect(site, DiffBiasName, bias.shape);
        return new Full(site, new(1, 1));
    }
}

public static partial class AdapterFamilies
{
    /// <summary>LyCORIS' full.</summary>
    public static AdapterFamily Full { get; } = new(
        "full", "The layer's whole weight and bias, saved as a difference (LyCORIS)", new("https://github.com/KohakuBlueleaf/LyCORIS"),
        [Networks.Full.DiffName, Networks.Full.DiffBiasName], (site, numbers) => new Full(site, numbers), Networks.Full.Read)
    {
        Origin = AdapterOrigin.Lycoris,
        Advice = "Fine-tuning as a network file: as large as the layers themselves, and gradients and optimizer states with it. Use a tenth of a LoRA's rate.",
    };
}
