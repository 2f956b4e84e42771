using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>kohya's LoRA-FA: a LoRA whose down half stays as it was drawn, so that only up has gradients and an optimizer's memory.</summary>
/// <remarks>Zhang et al. 2023, https://arxiv.org/abs/2308.03303; initial values as sd-scripts' networks/lora_fa.py: normal of √(2 ÷ (in + rank)).</remarks>
public sealed class LoraFa : Adapter
{
    private readonly AdapterParameter down, up;

    /// <param name="site">Where it hangs.</param>
    /// <param name="numbers">Rank, alpha and dropouts.</param>
    public LoraFa(AdapterSite site, AdapterNumbers numbers) : base(site, numbers)
    {
        var (shape, rank) = (site.Layer.Shape, numbers.Rank);
        var linear = shape.Kind == LayerKind.Linear;
        down = Declare(LierLa.DownName, linear ? [rank, shape.In] : [rank, shape.In, shape.Kernel.H, shape.Kernel.W], frozen: !Form.FrozenGradients, idle: Form.FrozenGradients);
        up = Declare(LierLa.UpName, linear ? [shape.Out, rank] : [shape.Out, rank, 1, 1], plus: true);
    }

    /// <inheritdoc/>
    public override AdapterFamily Family => AdapterFamilies.LoraFa;

    /// <inheritdoc/>
    public override bool PrefersWeight => LierLa.IsLarge(Site.Layer, down.Length + up.Length);

    /// <inheritdoc/>
    public override void Initialize(Generator generator)
    {
        using var frozen = no_grad();
        Initial.Made(down.Value, generator);
        Initial.Made(up.Value, generator);
        Initial.Normal(down.Value, Math.Sqrt(2.0 / (Site.Layer.Shape.In + Numbers.Rank)), generator);
        up.Value.zero_();
    }

    /// <inheritdoc/>
    public override Tensor WeightDelta()
    {
        using var scope = NewDisposeScope();
        return up.Value.flatten(1).mm(down.Value.flatten(1)).mul(Scale).view(Site.Layer.Weight.shape).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override Tensor Product(Tensor x, Tensor? y, double strength, Drops? drops)
    {
        using var scope = NewDisposeScope();
        var factor = (float)(strength * Scale * (drops?.Scale ?? 1));
        if (y is null && up.GradientMatrix is not null && Pass.Suits(Site.Layer)) return LowRankPass.Run(Site.Layer, x, down, up, factor, drops?.Mask).MoveToOuterDisposeScope();
        var added = LowRank.OnActivations(Site.Layer, x, down.Value, null, up.Value, inner => drops?.Mask is { } mask ? inner * mask.reshape(inner.shape) : inner);
        return (y ?? Base(x)).add(added, factor).MoveToOuterDisposeScope();
    }

    internal override RankDrops RankDrops => RankDrops.Samples;

    internal override long[]? InnerShape(Tensor x) => LierLa.InnerShape(Site.Layer.Shape, Numbers.Rank, x);

    /// <inheritdoc/>
    public override double? Norm()
    {
        using var frozen = no_grad();
        return SavedScale * LowRank.Norm(up.Value, down.Value);
    }

    /// <inheritdoc/>
    public override void Shrink(double ratio)
    {
        using var frozen = no_grad();
        var share = Math.Sqrt(ratio);
        down.Value.mul_(share);
        up.Value.mul_(share);
    }

    internal static Adapter? Read(AdapterSite site, AdapterParts parts) => !parts.Has(LierLa.DownName, LierLa.UpName) || parts.Has(LoCon.MidName) || parts.Has(Networks.Dora.ScaleName)
        || site.Layer.Shape.IsNorm ? null : parts.Sized(new LoraFa(site, parts.Numbers((int)parts.ShapeOf(LierLa.DownName)[0])));
}

public static partial class AdapterFamilies
{
    /// <summary>kohya's LoRA-FA.</summary>
    public static AdapterFamily LoraFa { get; } = new(
        "lora_fa", "A LoRA whose down half is drawn and then frozen (kohya's networks.lora_fa)", new("https://arxiv.org/abs/2308.03303"),
        [LierLa.DownName, LierLa.UpName], (site, numbers) => new LoraFa(site, numbers), Networks.LoraFa.Read)
    {
        Advice = "Half of a LoRA's gradients and optimizer memory, and less learnt: for parity with kohya; a LoRA of half the rank usually serves better.",
    };
}
