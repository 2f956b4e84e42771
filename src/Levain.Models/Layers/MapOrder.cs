using TorchSharp;
using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>The order of a map's numbers in memory: channel by channel, as convolutions and norms take them, or pixel by pixel, as tokens lie. The map stays [B, C, H, W].</summary>
/// <remarks>libtorch copies between the two one number at a time, and its gradients come in whichever order they were found: here a gradient takes the way back.</remarks>
internal sealed class MapOrder : autograd.SingleTensorFunction<MapOrder>
{
    private const string Key = "pixels first";

    // Numbers from which on a node of its own costs less than it saves.
    private const long Large = 1 << 17;

    /// <inheritdoc/>
    public override string Name => nameof(MapOrder);

    /// <summary>Pixel by pixel; the caller's scope owns it.</summary>
    public static Tensor PixelsFirst(Tensor map) => Is(map, pixelsFirst: false) && IsLarge(map) ? Turn(map, pixelsFirst: true) : map.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2);

    /// <summary>Channel by channel; the caller's scope owns it.</summary>
    public static Tensor ChannelsFirst(Tensor map) => Is(map, pixelsFirst: true) && IsLarge(map) ? Turn(map, pixelsFirst: false) : map.contiguous();

    /// <inheritdoc/>
    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var (pixelsFirst, map) = ((bool)vars[0], (Tensor)vars[1]);
        ctx.save_data(Key, pixelsFirst);
        return Turned(map, pixelsFirst);
    }

    /// <inheritdoc/>
    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor gradient)
    {
        HandedOver.Release();
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var pixelsFirst = !(bool)ctx.get_data(Key);
        var turned = HandedOver.Keep(
            Is(gradient, !pixelsFirst) ? Turned(gradient, pixelsFirst)
            : pixelsFirst ? gradient.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2) : gradient.contiguous());
        gradient.Dispose();
        return [null!, turned!];
    }

    private static bool IsLarge(Tensor map) => Engine.OwnKernels && map.device_type == DeviceType.CPU && map.numel() >= Large && map.size(2) * map.size(3) % Tiles.Lanes == 0 && map.size(1) % Tiles.Lanes == 0
        && map.dtype is ScalarType.Float32 or ScalarType.BFloat16;

    /// <summary>Whether a map lies pixel by pixel, without gaps.</summary>
    public static bool IsPixelsFirst(Tensor map)
    {
        using var pixels = map.permute(0, 2, 3, 1);
        return pixels.is_contiguous();
    }

    private static bool Is(Tensor map, bool pixelsFirst) => pixelsFirst ? IsPixelsFirst(map) : map.is_contiguous();

    private static Tensor Turn(Tensor map, bool pixelsFirst) => is_grad_enabled() && map.requires_grad ? apply([pixelsFirst, map]) : Turned(map, pixelsFirst);

    // Of a map in the other order.
    private static Tensor Turned(Tensor map, bool pixelsFirst)
    {
        using var scope = NewDisposeScope();
        long batch = map.size(0), channels = map.size(1), height = map.size(2), width = map.size(3);
        var from = pixelsFirst ? map.view(batch, channels, height * width) : map.permute(0, 2, 3, 1).view(batch, height * width, channels);
        var to = empty([batch, from.size(2), from.size(1)], map.dtype);
        Turning.Run(from, to);
        return (pixelsFirst ? to.view(batch, height, width, channels).permute(0, 3, 1, 2) : to.view(batch, channels, height, width)).MoveToOuterDisposeScope();
    }
}
