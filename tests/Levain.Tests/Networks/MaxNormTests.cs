using System.Text.Json;
using Levain.Networks;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Networks;

public sealed class MaxNormTests(ITestOutputHelper output)
{
    [Fact]
    public void Norms_are_limited_as_the_references_limit_them()
    {
        var golden = new GoldenTensors("networks", "max_norm.safetensors");
        var (computed, refused) = (new List<string>(), new List<string>());
        foreach (var row in Golden.Json("networks", "max_norm.json").EnumerateObject())
        {
            var algorithm = row.Value.GetProperty("args").TryGetProperty("algo", out var algo) ? algo.GetString()! : "lora";
            if (AdapterFamilies.All.All(family => family.Name != algorithm)) { refused.Add(row.Name); continue; }
            foreach (var limit in row.Value.GetProperty("limits").EnumerateObject()) Compare(golden, row.Name, algorithm, limit);
            computed.Add(row.Name);
        }
        output.WriteLine($"{computed.Count} computed: {string.Join(", ", computed)}; {refused.Count} of families this version lacks: {string.Join(", ", refused)}");
        Assert.Contains("kohya_lora", computed);
    }

    private static void Compare(GoldenTensors golden, string name, string algorithm, JsonProperty limit)
    {
        using var scope = NewDisposeScope();
        const string Module = "lora_unet_block_";
        var (sum, largest, scaled, count) = (0.0, 0.0, 0, 0);
        foreach (var layer in new[] { "linear", "conv1x1", "conv3x3" })
        {
            var parts = new AdapterParts("max_norm", layer);
            var prefix = $"{name}/before/{Module}{layer}.";
            foreach (var key in golden.Names.Where(key => key.StartsWith(prefix))) parts.Add(key[prefix.Length..], key, golden[key].shape, () => golden[key]);
            var family = AdapterFamilies.Named(algorithm);
            using var network = Network.Of(family, family.Read(new(NetworkPart.UNet, ForwardTests.Layer(layer)), parts)!, parts);
            var told = network.ApplyMaxNorm(double.Parse(limit.Name));
            (sum, largest, scaled, count) = (sum + told.Mean, Math.Max(largest, told.Max), scaled + told.Scaled, count + 1);
            foreach (var (part, value) in network.Adapters[0].Saved())
            {
                var after = $"{name}/after@{limit.Name}/{Module}{layer}.{part}";
                var expected = golden[golden.Names.Contains(after) ? after : prefix + part];
                var off = (expected - value).abs().max().item<float>() / Math.Max(1e-9, expected.abs().max().ToDouble());
                Assert.True(off < 1e-5, $"{after}: {off}");
            }
        }
        var expectedNumbers = limit.Value.EnumerateArray().Select(number => number.GetDouble()).ToArray();
        Assert.Equal(expectedNumbers[0], scaled);
        if (expectedNumbers[2] == 0) return;        // LyCORIS reports zeros where nothing was scaled
        Assert.Equal(expectedNumbers[1], sum / count, 1e-5);
        Assert.Equal(expectedNumbers[2], largest, 1e-5 * largest);
    }
}
