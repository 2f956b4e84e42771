using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models;

/// <summary>Halves height and width by a strided 3×3 convolution.</summary>
public sealed class Downsample2D : Module<Tensor, Tensor>
{
    private readonly Conv2dLayer conv;
    private readonly bool trailing;

    /// <param name="channels">Channels in and out.</param>
    /// <param name="trailing">Pad one row below and one column at the right only (VAE encoder) instead of all around (U-Net).</param>
    public Downsample2D(long channels, Compute compute, bool trailing = false) : base(nameof(Downsample2D))
    {
        this.trailing = trailing;
        conv = new(channels, channels, 3, compute, stride: 2, padding: trailing ? 0 : 1);
        RegisterComponents();
    }

    /// <param name="x">[B, C, H, W].</param>
    /// <returns>[B, C, ⌈H/2⌉, ⌈W/2⌉]; rounded down with trailing padding.</returns>
    public override Tensor forward(Tensor x)
    {
        if (!trailing) return conv.call(x);
        using var scope = NewDisposeScope();
        return conv.call(functional.pad(x, (0, 1, 0, 1))).MoveToOuterDisposeScope();
    }
}

/// <summary>Enlarges by repeating cells, then smooths by a 3×3 convolution.</summary>
public sealed class Upsample2D : Module<Tensor, (long H, long W), Tensor>
{
    private readonly Conv2dLayer conv;

    /// <param name="channels">Channels in and out.</param>
    public Upsample2D(long channels, Compute compute) : base(nameof(Upsample2D))
    {
        conv = new(channels, channels, 3, compute);
        RegisterComponents();
    }

    /// <param name="x">[B, C, H, W].</param>
    /// <param name="size">Height and width wanted: twice those of <paramref name="x"/>, or one less where the way down rounded up.</param>
    public override Tensor forward(Tensor x, (long H, long W) size)
    {
        using var scope = NewDisposeScope();
        return conv.call(functional.interpolate(x, [size.H, size.W], mode: InterpolationMode.Nearest)).MoveToOuterDisposeScope();
    }
}
