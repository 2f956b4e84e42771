using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>kohya's LoRA: ΔW = alpha/r · up·down on linear layers (LierLa) and on convolutions (C3Lier: a k×k down, a 1×1 up).</summary>
/// <remarks>Hu et al. 2021, https://arxiv.org/abs/2106.09685, eq. 3; initial values and dropouts as sd-scripts' networks/lora.py.</remarks>
public sealed class LierLa : Adapter
{
    internal const string DownName = "lora_down.weight";
    internal const string UpName = "lora_up.weight";

    // A product below this share of the base layer's work is not worth a second copy of the weight.
    private const double CheapShare = 0.25;

    private readonly AdapterParameter down;
    private readonly AdapterParameter up;

    /// <param name="site">Where it hangs.</param>
    /// <param name="numbers">Rank, alpha and dropouts.</param>
    public LierLa(AdapterSite site, AdapterNumbers numbers) : base(site, numbers)
    {
        var (shape, rank) = (site.Layer.Shape, numbers.Rank);
        var linear = shape.Kind == LayerKind.Linear;
        down = Declare(DownName, linear ? [rank, shape.In] : [rank, shape.In, shape.Kernel.H, shape.Kernel.W]);
        up = Declare(UpName, linear ? [shape.Out, rank] : [shape.Out, rank, 1, 1], plus: true);
    }

    /// <inheritdoc/>
    public override AdapterFamily Family => AdapterFamilies.Lora;

    /// <inheritdoc/>
    public override bool PrefersWeight => IsLarge(Site.Layer, down.Length + up.Length);

    /// <inheritdoc/>
    public override void Initialize(Generator generator)
    {
        using var frozen = no_grad();
        // kohya's two modules are first filled by torch's own initialisation, which costs random numbers; then down is drawn again.
        down.Value.uniform_(0, 1, generator);
        up.Value.uniform_(0, 1, generator);
        Initial.KaimingUniform(down.Value, generator);
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
        if (y is null && down.GradientMatrix is not null && LowRankPass.Suits(Site.Layer, x, drops?.Mask)) return LowRankPass.Run(Site.Layer, x, down, up, factor, drops?.Mask).MoveToOuterDisposeScope();
        var added = LowRank.OnActivations(Site.Layer, x, down.Value, null, up.Value, Masked);
        return (y ?? Base(x)).add(added, factor).MoveToOuterDisposeScope();

        Tensor Masked(Tensor inner) => drops?.Mask is { } mask ? inner * mask.reshape(inner.shape) : inner;
    }

    /// <summary>Whether a product with so many numbers costs enough to be made part of the weight, where that is used more than once.</summary>
    internal static bool IsLarge(IAdaptableLayer layer, long numbers) => numbers > CheapShare * layer.Weight.numel();

    internal override RankDrops RankDrops => RankDrops.Samples;

    internal override long[]? InnerShape(Tensor x) => InnerShape(Site.Layer.Shape, Numbers.Rank, x);

    /// <summary>Shape of down·x: tokens or pixels by ranks.</summary>
    internal static long[] InnerShape(LayerShape shape, long rank, Tensor x)
    {
        if (shape.Kind == LayerKind.Linear) return [.. x.shape[..^1], rank];
        long side(long size, long kernel, long stride, long padding) => (size + 2 * padding - kernel) / stride + 1;
        return [x.size(0), rank, side(x.size(2), shape.Kernel.H, shape.Stride.H, shape.Padding.H), side(x.size(3), shape.Kernel.W, shape.Stride.W, shape.Padding.W)];
    }

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

    internal static Adapter? Read(AdapterSite site, AdapterParts parts)
    {
        if (!parts.Has(DownName, UpName) || parts.Has(LoCon.MidName) || parts.Has(Dora.ScaleName) || site.Layer.Shape.IsNorm) return null;
        var rank = (int)parts.ShapeOf(DownName)[0];
        return parts.Sized(new LierLa(site, parts.Numbers(rank)));
    }
}

public static partial class AdapterFamilies
{
    /// <summary>kohya's LoRA.</summary>
    public static AdapterFamily Lora { get; } = new(
        "lora", "Low-rank product on attention, and with conv_rank on convolutions (kohya's networks.lora)",
        new("https://arxiv.org/abs/2106.09685"), [LierLa.DownName, LierLa.UpName], (site, numbers) => new LierLa(site, numbers), LierLa.Read)
    {
        Advice = "The default for characters. Rank 16 to 32 and alpha the same for a character, up to 96 for a style; conv_rank adds resnets and samplers.",
    };
}
