using Levain.Models;
using Xunit;

namespace Levain.Tests.Models;

public sealed class AdaptableLayersTests
{
    /// <summary>SD1.5's module list as kohya and LyCORIS walk it; a set is a filter over the layers' owners.</summary>
    [Theory]
    [InlineData("kohya_lierla", "Transformer2DModel")]
    [InlineData("kohya_c3lier", "Transformer2DModel", "ResnetBlock2D", "Downsample2D", "Upsample2D")]
    public void Layers_come_in_the_order_in_which_kohya_adapts_them(string set, params string[] owners)
    {
        using var network = new UNet(UNetSpec.Sd1, Compute.Cpu);
        var index = Golden.Json("networks", "modules_sd15.json");
        var rows = index.GetProperty("modules");
        var expected = index.GetProperty("sets").GetProperty(set).EnumerateArray().Select(row => rows[row.GetInt32()])
            .Where(row => row[0].GetString()!.StartsWith("lora_unet_"))
            .Select(row => $"{row[0].GetString()!["lora_unet_".Length..]} [{string.Join(", ", GoldenTensors.Longs(row[2]))}] {row[3]} {row[4]} {row[5].GetBoolean()}");
        var found = network.AdaptableLayers.Where(layer => !layer.Shape.IsNorm && layer.Owners.Intersect(owners).Any())
            .Select(layer => $"{layer.Key.Replace('.', '_')} [{string.Join(", ", layer.Weight.shape)}] {(layer.Shape.Kind == LayerKind.Conv2d ? layer.Shape.Stride.H : 0)} {layer.Shape.Padding.H} {layer.Bias is not null}");
        Assert.Equal(expected, found);
    }

    [Fact]
    public void The_whole_network_is_listed_in_kohyas_order()
    {
        using var network = new UNet(UNetSpec.Sd1, Compute.Cpu);
        var index = Golden.Json("networks", "modules_sd15.json");
        var expected = index.GetProperty("sets").GetProperty("lycoris_full").EnumerateArray().Select(row => index.GetProperty("modules")[row.GetInt32()][0].GetString()!)
            .Where(name => name.StartsWith("lora_unet_")).Select(name => name["lora_unet_".Length..]);
        Assert.Equal(expected, network.AdaptableLayers.Where(layer => !layer.Shape.IsNorm).Select(layer => layer.Key.Replace('.', '_')));
    }

    [Fact]
    public void Owners_are_the_classes_kohya_knows()
    {
        using var network = new UNet(UNetSpec.Sd1, Compute.Cpu);
        var query = network.AdaptableLayers.Single(layer => layer.Key == "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q");
        Assert.Equal(["CrossAttnDownBlock2D", "Transformer2DModel", "BasicTransformerBlock", "CrossAttention"], query.Owners);
        var gate = network.AdaptableLayers.Single(layer => layer.Key == "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj");
        Assert.Equal(["UNetMidBlock2DCrossAttn", "Transformer2DModel", "BasicTransformerBlock", "FeedForward", "GEGLU"], gate.Owners);
    }
}
