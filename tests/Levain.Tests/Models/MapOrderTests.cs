using Levain.Models;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Models;

/// <summary>A map keeps its numbers when their order in memory changes, and so does its gradient.</summary>
public sealed class MapOrderTests
{
    [Theory]
    [InlineData(ScalarType.Float32, 2, 64, 32, 40)]     // turned by our own kernel
    [InlineData(ScalarType.BFloat16, 1, 80, 48, 64)]
    [InlineData(ScalarType.Float32, 1, 5, 3, 7)]        // too small for it
    [InlineData(ScalarType.Float32, 1, 70, 50, 41)]     // no squares of sixteen
    public void Numbers_and_gradients_stay(ScalarType type, int batch, int channels, int height, int width)
    {
        using var scope = NewDisposeScope();
        var map = arange(batch * channels * height * width, dtype: ScalarType.Float32).mul(0.37f).sin().to_type(type).view(batch, channels, height, width).detach().requires_grad_(true);
        var pixels = MapOrder.PixelsFirst(map);
        Assert.True(pixels.permute(0, 2, 3, 1).is_contiguous());
        Assert.True(pixels.equal(map).all().item<bool>());
        var channelsFirst = MapOrder.ChannelsFirst(pixels * 2);
        Assert.True(channelsFirst.is_contiguous());
        Assert.True(channelsFirst.equal(map * 2).all().item<bool>());
        var gradient = map.detach().cos();
        Assert.True(autograd.grad([channelsFirst], [map], [gradient])[0].equal(gradient * 2).all().item<bool>());
        using var frozen = no_grad();
        Assert.True(MapOrder.ChannelsFirst(MapOrder.PixelsFirst(map)).equal(map).all().item<bool>());
    }
}
