using Levain.Models;
using Xunit;

namespace Levain.Tests.Models;

public sealed class InitialDrawsTests
{
    /// <summary>tests/golden/training/README.md §3.2.</summary>
    [Fact]
    public void Loading_a_tiny_model_moves_the_generator_as_far_as_kohya_does()
    {
        var shapes = Golden.Json("training", "tiny_sd1.shapes.json").EnumerateObject().ToDictionary(entry => entry.Name, entry => GoldenTensors.Longs(entry.Value));
        Assert.Equal(1_726_727, Drawn(shapes, ModelPart.Vae, 1));
        Assert.Equal(3_264_740, Drawn(shapes, ModelPart.UNet, 1));
        Assert.Equal(6_729_600, Drawn(shapes, ModelPart.TextEncoder, 2));
    }

    [Fact]
    public void Loading_SD15_moves_the_generator_as_far_as_kohya_does()
    {
        var index = Golden.Json("keys", "sd1.json");
        var shapes = new[] { "unet", "vae", "text" }.SelectMany(part => index.GetProperty(part).EnumerateArray())
            .ToDictionary(row => row.GetProperty("ldm").GetString()!, row => GoldenTensors.Longs(row.GetProperty("shape")));
        Assert.Equal(1_188_896_043, Drawn(shapes, ModelPart.Vae, 1) + Drawn(shapes, ModelPart.UNet, 1) + Drawn(shapes, ModelPart.TextEncoder, 2));
    }

    private static long Drawn(Dictionary<string, long[]> shapes, ModelPart part, long perWeight) => InitialDraws.Of(
        shapes.Where(entry => KeyMap.Sd1.ToDiffusers(entry.Key)?.Part == part).ToDictionary(entry => KeyMap.Sd1.ToDiffusers(entry.Key)!.Names[0], entry => entry.Value), perWeight);
}
