using TorchSharp;
using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>Products of tensors by this program's own kernels. Nothing is recorded for a backward pass.</summary>
public static class OwnProducts
{
    // Up to so many pixels, laying a weight out for libtorch's convolution costs more than it saves.
    private const long SmallMap = 1023, SmallBf16Map = 1024, SmallBf16MapBack = 1023;

    // From so many on, libtorch's bf16 convolutions wait for memory.
    private const long WideBf16Map = 1 << 16;

    // Multiplications of a layer from which on our kernels are faster than libtorch's.
    private const long LargeLayer = 1 << 20;

    /// <summary>Whether products of such tensors can be formed here: fp32, on a processor with AVX-512.</summary>
    /// <param name="one">Tells type and device for all.</param>
    public static bool Suits(Tensor one) => Engine.OwnKernels && one.dtype == ScalarType.Float32 && one.device_type == DeviceType.CPU;

    /// <summary>Whether a layer belongs here, too: any large one in fp32, in bf16 what <see cref="SuitsConvolution"/> holds for.</summary>
    /// <param name="x">The layer's input.</param>
    /// <param name="times">How often each of its elements is multiplied.</param>
    internal static bool SuitsLayer(Tensor x, LayerShape shape, long times) =>
        (Suits(x) || (Engine.OwnKernels && x.dtype == ScalarType.BFloat16 && x.device_type == DeviceType.CPU && shape.Kernel.H > 1)) && x.numel() * times >= LargeLayer;

    /// <summary>a·b, [M, N] of [M, K] and [K, N] in any order of memory. The caller's scope owns it.</summary>
    public static Tensor Of(Tensor a, Tensor b)
    {
        var c = empty([a.size(0), b.size(1)]);
        Into(c, a, b);
        return c;
    }

    /// <summary>c = a·b.</summary>
    /// <param name="c">[M, N] in any order.</param>
    public static void Into(Tensor c, Tensor a, Tensor b) => Run(a, b, c, add: false);

    /// <summary>c += a·b.</summary>
    /// <param name="c">[M, N] in any order.</param>
    public static void Add(Tensor c, Tensor a, Tensor b) => Run(a, b, c, add: true);

    /// <summary>Whether a convolution belongs here: one that keeps the map's size, where libtorch's is slower.</summary>
    internal static bool SuitsConvolution(Tensor x, Tensor weight, LayerShape shape) =>
        KeepsSize(shape) && (x.dtype == ScalarType.BFloat16 ? IsSmall(x, weight, SmallBf16Map) && Bf16Convolution.Suits(x, weight) || IsWide(x) && Bf16WideConvolution.Suits(weight) : IsSmall(x, weight, SmallMap));

    /// <summary>Whether its way back does.</summary>
    internal static bool SuitsConvolutionBack(Tensor gradient, Tensor weight, LayerShape shape) =>
        KeepsSize(shape) && (gradient.dtype == ScalarType.BFloat16 ? IsSmall(gradient, weight, SmallBf16MapBack) && Bf16Convolution.Suits(gradient, weight) : IsSmall(gradient, weight, SmallMap));

    private static bool KeepsSize(LayerShape shape) =>
        shape.Stride == (1, 1) && shape.Kernel.H == shape.Kernel.W && shape.Padding == (shape.Kernel.H / 2, shape.Kernel.H / 2) && shape.Kernel.H % 2 == 1;

    private static bool IsSmall(Tensor map, Tensor weight, long most) => map.size(2) * map.size(3) <= most && weight.is_contiguous();

    private static bool IsWide(Tensor map) => map.size(2) * map.size(3) >= WideBf16Map;

    /// <summary>x·Wᵀ + bias, [M, O] of [M, I] and [O, I]; the caller's scope owns it.</summary>
    internal static Tensor Linear(Tensor x, Tensor weight, Tensor? bias)
    {
        using var turned = weight.t();
        if (bias is null) return Of(x, turned);
        var y = empty([x.size(0), weight.size(0)]).copy_(bias);
        Run(x, turned, y, add: true);
        return y;
    }

    /// <summary>A 1×1 convolution over maps that lie channel by channel: W·x + bias, [B, O, H, W] of [B, I, H, W] and [O, I]; the caller's scope owns it.</summary>
    internal static Tensor Pointwise(Tensor x, Tensor weight, Tensor? bias)
    {
        using var scope = NewDisposeScope();
        var dense = x.contiguous();
        var y = empty([x.size(0), weight.size(0), x.size(2), x.size(3)]);
        if (bias is not null) y.copy_(bias.view(1, -1, 1, 1));
        for (var i = 0L; i < x.size(0); i++) Run(weight, dense.select(0, i).flatten(1), y.select(0, i).flatten(1), bias is not null);
        return y.MoveToOuterDisposeScope();
    }

    /// <summary>A convolution that <see cref="SuitsConvolution"/> holds for, [B, O, H, W] of [B, I, H, W]; the caller's scope owns it.</summary>
    internal static Tensor Convolve(Tensor x, Tensor weight, Tensor? bias)
    {
        using var scope = NewDisposeScope();
        var dense = x.contiguous();
        var y = empty([x.size(0), weight.size(0), x.size(2), x.size(3)], x.dtype);
        if (x.dtype == ScalarType.BFloat16)
        {
            if (IsWide(x)) Bf16WideConvolution.Run(dense, weight, bias, y);
            else Bf16Convolution.Run(dense, weight, bias, y);
            return y.MoveToOuterDisposeScope();
        }
        Convolution.Run(dense, weight, bias, y);
        return y.MoveToOuterDisposeScope();
    }

    /// <summary>The way back: the input's gradient, [B, I, H, W], for the output's; the caller's scope owns it.</summary>
    internal static Tensor ConvolveBack(Tensor gradient, Tensor weight)
    {
        using var scope = NewDisposeScope();
        var dense = gradient.contiguous();
        var dx = empty([gradient.size(0), weight.size(1), gradient.size(2), gradient.size(3)], gradient.dtype);
        if (gradient.dtype == ScalarType.BFloat16) Bf16Convolution.Back(dense, weight, dx);
        else Convolution.Back(dense, weight, dx);
        return dx.MoveToOuterDisposeScope();
    }

    private static void Run(Tensor a, Tensor b, Tensor c, bool add)
    {
        Gemm.Run(new(a), new(b), new(c), add);
        GC.KeepAlive(a);
        GC.KeepAlive(b);
        GC.KeepAlive(c);
    }
}
