using Levain.Core;
using Levain.Generation;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Generation;

public sealed class ImageToolsTests
{
    [Fact]
    public void Latents_are_resized_as_libtorch_resizes_them()
    {
        using var scope = NewDisposeScope();
        var x = Synth.Input("latent", 1, 4, 9, 7);
        foreach (var (height, width) in new (long, long)[] { (18, 14), (20, 11), (5, 6) })
        {
            Same(LatentFilter.Bilinear, nn.functional.interpolate(x, [height, width], mode: InterpolationMode.Bilinear, align_corners: false));
            Same(LatentFilter.Bicubic, nn.functional.interpolate(x, [height, width], mode: InterpolationMode.Bicubic, align_corners: false));
            Same(LatentFilter.Nearest, nn.functional.interpolate(x, [height, width], mode: InterpolationMode.Nearest));

            void Same(LatentFilter filter, Tensor expected)
            {
                var off = (filter.Resize(x, height, width) - expected).abs().max().item<float>();
                Assert.True(off < 1e-5, $"{filter}, {height}x{width}: {off}");
            }
        }
    }

    [Fact]
    public void Every_upscaler_of_latents_leaves_an_even_one_even()
    {
        using var scope = NewDisposeScope();
        foreach (var upscaler in Upscalers.All.Where(known => known.Latents is not null))
            Assert.True((upscaler.Latents!(ones(1, 4, 6, 5), 17, 12) - 1).abs().max().item<float>() < 1e-5, upscaler.Name);
    }

    [Fact]
    public void The_area_around_a_mask_takes_the_shape_of_what_is_drawn_and_stays_inside()
    {
        var mask = new GrayMask(new(100, 60), new byte[6000]);
        for (var y = 10; y < 20; y++) mask.Levels.AsSpan(y * 100 + 90, 8).Fill(255);
        var around = PixelArea.Around(mask, 4)!.Value;
        Assert.Equal(new PixelArea(86, 6, 100, 24), around);
        var shaped = around.Shaped(new(128, 64), mask.Size);
        Assert.Equal(new PixelArea(64, 6, 100, 24), shaped);
        Assert.Null(PixelArea.Around(new(new(4, 4), new byte[16]), 4));
    }

    [Fact]
    public void Blurring_a_mask_keeps_what_is_even_and_spreads_an_edge()
    {
        var edge = new GrayMask(new(40, 3), [.. Enumerable.Range(0, 120).Select(i => (byte)(i % 40 < 20 ? 0 : 255))]);
        var blurred = edge.Blurred(3);
        Assert.Equal((0, 255), (blurred.Levels[0], blurred.Levels[39]));
        Assert.InRange(blurred.Levels[19], 100, 127);
        Assert.InRange(blurred.Levels[20], 128, 155);
    }

    [Fact]
    public void A_hole_is_filled_with_the_colours_around_it()
    {
        var picture = new Picture(new(64, 64), [.. Enumerable.Range(0, 64 * 64).SelectMany(_ => new byte[] { 200, 60, 20 })]);
        var hole = new GrayMask(picture.Size, [.. Enumerable.Range(0, 64 * 64).Select(i => (byte)(i % 64 is > 20 and < 40 && i / 64 is > 20 and < 40 ? 255 : 0))]);
        var filled = HoleFilling.Fill(picture, hole);
        Assert.All(Enumerable.Range(0, filled.Rgb.Length), i => Assert.InRange(filled.Rgb[i], picture.Rgb[i] - 3, picture.Rgb[i] + 3));
    }

    [Fact]
    public void Other_shapes_are_stretched_cut_or_filled()
    {
        // left half red, right half blue
        var wide = new Picture(new(80, 40), [.. Enumerable.Range(0, 3200).SelectMany(i => i % 80 < 40 ? new byte[] { 255, 0, 0 } : [0, 0, 255])]);
        foreach (var mode in Enum.GetValues<ResizeMode>()) Assert.Equal(new PixelSize(64, 64), wide.To(new(64, 64), mode).Size);
        var filled = wide.To(new(64, 64), ResizeMode.ResizeAndFill);
        Assert.Equal([255, 0, 0], filled.Rgb[..3]);                          // the edge goes on up to the corner
        var cut = wide.To(new(64, 64), ResizeMode.CropAndResize);
        Assert.Equal((255, 255), (cut.Rgb[3 * (32 * 64 + 8)], cut.Rgb[3 * (32 * 64 + 56) + 2]));
        Assert.Same(wide, wide.Stretched(wide.Size));
    }

    [Theory]
    [InlineData(255, 255, 255, 255, 128, 128)]       // OpenCV's cvtColor(RGB2LAB)
    [InlineData(0, 0, 0, 0, 128, 128)]
    [InlineData(255, 0, 0, 136, 208, 195)]
    [InlineData(0, 255, 0, 224, 42, 211)]
    [InlineData(0, 0, 255, 82, 207, 20)]
    public void Colours_go_to_Lab_and_back(byte r, byte g, byte b, byte l, byte a, byte blue)
    {
        Assert.Equal([l, a, blue], ColourMatch.Lab([r, g, b]));
        Assert.All(ColourMatch.Rgb([l, a, blue]).Zip([r, g, b]), pair => Assert.InRange(Math.Abs(pair.First - pair.Second), 0, 8));      // a step of a or b is much where a channel is dark
    }

    [Fact]
    public void A_picture_gets_another_s_colours_and_keeps_its_brightness()
    {
        var size = new PixelSize(32, 32);
        var green = new Picture(size, [.. Enumerable.Range(0, 1024).SelectMany(i => new[] { (byte)(20 + i / 16), (byte)(60 + i / 8), (byte)(30 + i / 16) })]);
        var blue = new Picture(size, [.. Enumerable.Range(0, 1024).SelectMany(i => new[] { (byte)(20 + i / 16), (byte)(40 + i / 16), (byte)(90 + i / 8) })]);
        Assert.All(ColourMatch.Apply(green, green).Rgb.Zip(green.Rgb), pair => Assert.InRange(Math.Abs(pair.First - pair.Second), 0, 4));       // but for the rounding of L, a and b
        var matched = ColourMatch.Apply(green, blue);
        double Mean(Picture picture, int channel) => picture.Rgb.Where((_, i) => i % 3 == channel).Average(level => level);
        Assert.True(Mean(matched, 2) > Mean(matched, 1) + 30, $"{Mean(matched, 1)}, {Mean(matched, 2)}");
        double Light(Picture picture, int pixel) => 0.3 * picture.Rgb[3 * pixel] + 0.59 * picture.Rgb[3 * pixel + 1] + 0.11 * picture.Rgb[3 * pixel + 2];
        Assert.All(Enumerable.Range(0, 1024), pixel => Assert.InRange(Math.Abs(Light(matched, pixel) - Light(green, pixel)), 0, 1.01));
    }
}
