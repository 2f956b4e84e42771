using System.Text.Json;
using Levain.Core;
using Levain.Networks;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Networks;

public sealed class ModuleListTests(ITestOutputHelper output)
{
    // Every layer any network adapts, in an order that respects each list's own.
    private static ModelLayers Sd15() => FakeLayer.Model(Set("lycoris_full"));

    private static IEnumerable<string> Set(string name)
    {
        var modules = Golden.Json("networks", "modules_sd15.json");
        return modules.GetProperty("sets").GetProperty(name).EnumerateArray().Select(row => modules.GetProperty("modules")[row.GetInt32()][0].GetString()!);
    }

    [Theory]
    [InlineData("kohya_lierla", null)]
    [InlineData("kohya_c3lier", 4)]
    public void The_adapted_layers_and_their_order_are_kohyas(string set, int? convRank)
    {
        using var scope = NewDisposeScope();
        using var network = Network.Create(new() { Rank = 2, ConvRank = convRank }, FakeLayer.Model(Set(convRank is null ? "kohya_c3lier" : set)), new Generator(1));
        Assert.Equal(Set(set), network.Adapters.Select(adapter => adapter.Name));
    }

    [Fact]
    public void Blocks_are_numbered_as_kohya_numbers_them()
    {
        var modules = Golden.Json("networks", "modules_sd15.json").GetProperty("modules");
        var blocks = modules.EnumerateArray().ToDictionary(row => row[0].GetString()!, row => row[6].GetInt32());
        foreach (var site in Sd15().Sites) Assert.Equal((site.Name, Math.Max(-1, blocks[site.Name])), (site.Name, site.Block));
    }

    [Fact]
    public void Block_rates_are_read_as_kohya_reads_them()
    {
        var (read, refused) = (0, 0);
        foreach (var row in Golden.Json("networks", "kohya_blocks.json").GetProperty("lr_weights").EnumerateArray())
        {
            if (row.GetProperty("sdxl").GetBoolean()) { refused++; continue; }       // 23 blocks: another model
            var rates = Rates(row.GetProperty("args"))!;
            var expected = row.GetProperty("weights");
            if (expected.ValueKind == JsonValueKind.String) Assert.Throws<SettingsException>(() => rates.Weights);   // kohya's TypeError
            else Assert.Equal(expected.EnumerateArray().Select(weight => weight.GetDouble()), rates.Weights, (a, b) => Math.Abs(a - b) < 1e-15);
            read++;
        }
        output.WriteLine($"{read} read, {refused} of SDXL left out");
    }

    [Fact]
    public void Networks_have_kohyas_blocks_ranks_and_optimizer_groups()
    {
        var (made, refused) = (0, 0);
        foreach (var row in Golden.Json("networks", "kohya_blocks.json").GetProperty("networks").EnumerateArray())
        {
            using var scope = NewDisposeScope();
            if (row.GetProperty("model").GetString() != "sd15") { refused++; continue; }
            var options = Options(row);
            if (row.TryGetProperty("error", out _))
            {
                var problems = new Problems();
                options.Check(problems);
                Assert.True(problems.Any);
                made++;
                continue;
            }
            using var network = Network.Create(options, FakeLayer.Model(Set("kohya_c3lier")), new Generator(1));
            Assert.Equal(row.GetProperty("text_encoder_modules").GetInt32(), network.Adapters.Count(adapter => adapter.Site.Part == NetworkPart.TextEncoder));
            Assert.Equal(row.GetProperty("unet_modules").GetInt32(), network.Adapters.Count(adapter => adapter.Site.Part == NetworkPart.UNet));
            foreach (var block in row.GetProperty("unet_blocks").EnumerateObject())
                foreach (var kind in block.Value.EnumerateObject())
                {
                    var adapters = network.Adapters.Where(adapter => adapter.Site.Block == int.Parse(block.Name)
                        && adapter.Site.Layer.Shape.IsSpatial == (kind.Name == "conv3x3")).ToList();
                    Assert.Equal(kind.Value.GetProperty("count").GetInt32(), adapters.Count);
                    Assert.All(adapters, adapter => Assert.Equal(
                        (kind.Value.GetProperty("rank").GetInt32(), kind.Value.GetProperty("alpha").GetDouble(), kind.Value.GetProperty("scale").GetDouble()),
                        (adapter.Numbers.Rank, adapter.Numbers.Alpha, adapter.Scale)));
                }
            var groups = network.Groups(textEncoderRate: 5e-5, unetRate: 1e-4);
            var expected = row.GetProperty("parameter_groups").EnumerateArray().ToList();
            Assert.Equal(expected.Select(group => group.GetProperty("description").GetString()), groups.Select(group => group.Name));
            Assert.Equal(expected.Select(group => group.GetProperty("lr").GetDouble()), groups.Select(group => group.Rate), (a, b) => Math.Abs(a - b) < 1e-15 * a);
            Assert.Equal(expected.Select(group => group.GetProperty("tensors").GetInt32()), groups.Select(group => group.Parameters.Count));
            Assert.Equal(expected.Select(group => group.GetProperty("parameters").GetInt64()), groups.Select(group => group.Length));
            made++;
        }
        output.WriteLine($"{made} networks made, {refused} of SD2 and SDXL left out");
    }

    private static NetworkOptions Options(JsonElement row)
    {
        var args = row.GetProperty("args");
        string? text(string name) => args.TryGetProperty(name, out var value) ? value.GetString() : null;
        int? whole(string name) => text(name) is { } value ? int.Parse(value) : null;
        double? number(string name) => text(name) is { } value ? double.Parse(value) : null;
        T[]? list<T>(string name) where T : IParsable<T> => text(name)?.Split(',').Select(entry => T.Parse(entry, null)).ToArray();
        return new()
        {
            Rank = row.GetProperty("dim").ValueKind == JsonValueKind.Null ? 4 : row.GetProperty("dim").GetInt32(),
            Alpha = row.GetProperty("alpha").ValueKind == JsonValueKind.Null ? 1 : row.GetProperty("alpha").GetDouble(),
            ConvRank = whole("conv_dim"),
            ConvAlpha = number("conv_alpha") ?? 1,
            BlockRanks = list<int>("block_dims") is { } ranks
                ? new() { Ranks = ranks, Alphas = list<double>("block_alphas"), ConvRanks = list<int>("conv_block_dims"), ConvAlphas = list<double>("conv_block_alphas") } : null,
            BlockRates = Rates(args),
            LoraPlusRatio = number("loraplus_lr_ratio"),
            LoraPlusUNetRatio = number("loraplus_unet_lr_ratio"),
            LoraPlusTextEncoderRatio = number("loraplus_text_encoder_lr_ratio"),
        };
    }

    private static BlockRates? Rates(JsonElement args)
    {
        string? text(string name) => args.TryGetProperty(name, out var value) ? value.GetString() : null;
        return text("down_lr_weight") is null && text("mid_lr_weight") is null && text("up_lr_weight") is null ? null : new()
        {
            Down = text("down_lr_weight"),
            Mid = text("mid_lr_weight"),
            Up = text("up_lr_weight"),
            ZeroThreshold = text("block_lr_zero_threshold") is { } threshold ? double.Parse(threshold) : 0,
        };
    }
}
