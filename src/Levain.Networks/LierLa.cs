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
    public override bool PrefersWeight => down.Length + up.Length > CheapShare * Site.Layer.Weight.numel();

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
        if (y is null && FusedProduct.Suits(this, x, down)) return FusedProduct.Run(Site.Layer, x, down, up, factor, drops?.Mask).MoveToOuterDisposeScope();
        var shape = Site.Layer.Shape;
        var (a, b) = (down.Value.to_type(x.dtype), up.Value.to_type(x.dtype).flatten(1));     // a [r, In(, k, k)], b [Out, r]
        y ??= Base(x);
        if (shape.Kind == LayerKind.Linear)
        {
            var inner = Masked(x.reshape(-1, shape.In).mm(a.t()));                              // [N, r]
            return y.reshape(-1, shape.Out).addmm(inner, b.t(), alpha: factor).reshape(y.shape).MoveToOuterDisposeScope();
        }
        var pixels = Masked(nn.functional.conv2d(x, a, strides: [shape.Stride.H, shape.Stride.W], padding: [shape.Padding.H, shape.Padding.W]));
        return y.add(nn.functional.conv2d(pixels, b.unsqueeze(-1).unsqueeze(-1)), factor).MoveToOuterDisposeScope();

        Tensor Masked(Tensor inner) => drops?.Mask is { } mask ? inner * mask.reshape(inner.shape) : inner;
    }

    internal override long[]? InnerShape(Tensor x)
    {
        var shape = Site.Layer.Shape;
        if (shape.Kind == LayerKind.Linear) return [.. x.shape[..^1], Numbers.Rank];
        long side(long size, long kernel, long stride, long padding) => (size + 2 * padding - kernel) / stride + 1;
        return [x.shape[0], Numbers.Rank, side(x.shape[2], shape.Kernel.H, shape.Stride.H, shape.Padding.H), side(x.shape[3], shape.Kernel.W, shape.Stride.W, shape.Padding.W)];
    }

    /// <inheritdoc/>
    public override double? Norm()
    {
        // ‖up·down‖² = Σ (upᵀ·up) ∘ (down·downᵀ): two r×r products instead of one as large as the weight.
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var (a, b) = (down.Value.flatten(1), up.Value.flatten(1));
        var squared = b.t().mm(b).mul_(a.mm(a.t())).sum(ScalarType.Float64).item<double>();
        return Scale * Math.Sqrt(Math.Max(0, squared));
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
        if (!parts.Has(DownName, UpName)) return null;
        var rank = (int)parts.ShapeOf(DownName)[0];
        return parts.Sized(new LierLa(site, parts.Numbers(rank)));
    }
}

public static partial class AdapterFamilies
{
    /// <summary>kohya's LoRA.</summary>
    public static AdapterFamily Lora { get; } = new(
        "lora", "Low-rank product on attention, and with conv_rank on convolutions (kohya's networks.lora)",
        new("https://arxiv.org/abs/2106.09685"), [LierLa.DownName, LierLa.UpName], LayerTargets.Kohya, (site, numbers) => new LierLa(site, numbers), LierLa.Read);
}
