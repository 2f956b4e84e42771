using System.Text.Json;
using Levain.Core;
using Levain.Models;
using Levain.Models.Clip;
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
    public void LyCORIS_presets_and_kohyas_OFT_adapt_the_recorded_layers_in_the_recorded_order()
    {
        var layers = RealSd15.Value;
        var sets = Golden.Json("networks", "modules_sd15.json").GetProperty("sets").EnumerateObject().Select(set => set.Name);
        var compared = new List<string>();
        foreach (var set in sets)
        {
            NetworkOptions? options = set switch
            {
                "kohya_lierla" => new(),
                "kohya_c3lier" => new() { ConvRank = 4 },
                "kohya_oft" => new() { Family = "kohya_oft" },
                "kohya_oft_all_linear" => new() { Family = "kohya_oft", AllLinear = true },
                "kohya_oft_conv" => new() { Family = "kohya_oft", AllLinear = true, ConvRank = 4 },
                "lycoris_full_train_norm" => new() { Family = "locon", TrainNorm = true },
                "ia3_intended" => new() { Family = "ia3", Targets = LayerPresets.Ia3.Targets },
                "lycoris_ia3" or "ia3_intended_on_input" => null,        // the reference's matches nothing (L-08); the inputs are looked at below
                _ when set.StartsWith("lycoris_") => new() { Family = "locon", Targets = LayerPresets.Named(set["lycoris_".Length..])!.Targets },
                _ => throw new InvalidDataException($"A set of modules that no test knows: {set}."),
            };
            if (options is null) continue;
            var targets = AdapterFamilies.Named(options.Family).Targets(options);
            var chosen = layers.Sites.Select(site => (Site: site, Chosen: options.AdapterAt(site, targets))).Where(pair => pair.Chosen is not null).ToList();
            Assert.Equal(Set(set), chosen.Select(pair => pair.Site.Name));
            if (set == "ia3_intended") Assert.Equal(Set("ia3_intended_on_input"), chosen.Where(pair => pair.Chosen!.Value.Numbers.Form.OnInput).Select(pair => pair.Site.Name));
            if (set == "lycoris_full_train_norm") Assert.All(chosen, pair => Assert.Equal(pair.Site.Layer.Shape.IsNorm, pair.Chosen!.Value.Family == AdapterFamilies.Norm));
            compared.Add(set);
        }
        output.WriteLine($"{compared.Count} sets compared: {string.Join(", ", compared)}");
        Assert.Contains("lycoris_full", compared);
    }

    [Fact]
    public void Presets_are_those_of_LyCORIS_as_far_as_they_concern_this_model()
    {
        foreach (var recorded in Golden.Json("networks", "presets.json").GetProperty("presets").EnumerateObject())
        {
            var preset = LayerPresets.Named(recorded.Name)?.Targets;
            Assert.True(preset is not null, recorded.Name);
            string[] list(string name) => [.. recorded.Value.GetProperty(name).EnumerateArray().Select(entry => entry.GetString()!)];
            Assert.Subset(list("unet_target_module").ToHashSet(), preset.UNet.ToHashSet());
            Assert.Subset(list("text_encoder_target_module").ToHashSet(), preset.TextEncoder.ToHashSet());
            Assert.Equal(list("unet_target_name"), preset.UNetNames);
            Assert.Equal(list("text_encoder_target_name"), preset.TextEncoderNames);
            Assert.Equal(recorded.Value.GetProperty("enable_conv").GetBoolean(), preset.Convolutions);
        }
    }

    [Fact]
    public void A_preset_file_chooses_by_class_and_name_and_brings_other_families()
    {
        var problems = new Problems();
        var targets = LayerPresetFile.Read("""
            enable_conv = false
            unet_target_module = ["Transformer2DModel"]
            unet_target_name = ["time_embedding.linear_*", "conv_in"]
            text_encoder_target_module = []
            exclude_name = ["*attentions.1*"]
            use_fnmatch = true

            [module_algo_map.Transformer2DModel]
            algo = "loha"
            dim = 2

            [module_algo_map.FeedForward]
            algo = "lokr"
            dim = 8
            alpha = 4
            factor = 4
            use_scalar = "True"

            [name_algo_map."time_*"]
            algo = "full"
            """, "mine.toml", problems);
        Assert.Empty(problems.All);
        var options = new NetworkOptions { Family = "locon", Rank = 16, Alpha = 16, Targets = targets };
        (string Family, long Rank, double Alpha, AdapterForm Form)? at(string key)
        {
            var site = RealSd15.Value.Sites.Single(site => site.Layer.Key == key);
            return options.AdapterAt(site, targets) is var (family, numbers) ? (family.Name, numbers.Rank, numbers.Alpha, numbers.Form) : null;
        }

        const string Block = "down_blocks.0.attentions.0.transformer_blocks.0.";
        Assert.Equal(("loha", 2, 16.0, new AdapterForm()), at(Block + "attn1.to_q"));
        Assert.Equal(("lokr", 8, 4.0, new AdapterForm { Factor = 4, Scalar = true }), at(Block + "ff.net.0.proj"));
        Assert.Equal("full", at("time_embedding.linear_1")!.Value.Family);
        Assert.Null(at("conv_in"));                        // larger than 1x1, and enable_conv is off
        Assert.Null(at("down_blocks.0.attentions.1.proj_in"));
        Assert.Null(at("down_blocks.0.resnets.0.time_emb_proj"));
        Assert.Null(at("text_model.encoder.layers.0.mlp.fc1"));

        LayerPresetFile.Read("unet_target_modul = []\n[module_algo_map.FeedForward]\nalgo = \"lora2\"\nfactr = 4\n", "wrong.toml", problems);
        Assert.Equal(3, problems.All.Count);
        Assert.Contains("unet_target_module", problems.All[0].Fix);
        Assert.Contains("factor", problems.All[2].Fix);
    }

    [Fact]
    public void A_map_inside_another_has_its_family_and_nothing_else()
    {
        var problems = new Problems();
        var targets = LayerPresetFile.Read("""
            unet_target_module = ["Transformer2DModel"]
            [module_algo_map.Transformer2DModel]
            algo = "loha"
            dim = 2
            [module_algo_map.FeedForward]
            dim = 100000000000
            use_cp = true
            rank_dropout_scale = true
            [module_algo_map.CrossAttention]
            weight_decompose = true
            no_such_argument = 3
            """, "mine.toml", problems, lenient: true);
        Assert.Empty(problems.All);
        var options = new NetworkOptions { Family = "lokr", Rank = 16, Alpha = 16, Targets = targets, Form = new() { Dora = DoraAxis.Input } };
        (string, AdapterNumbers) at(string key) =>
            options.AdapterAt(RealSd15.Value.Sites.Single(site => site.Layer.Key == "down_blocks.0.attentions.0." + key), targets) is var (family, numbers) ? (family.Name, numbers) : throw new InvalidOperationException(key);
        Assert.Equal(("loha", new AdapterNumbers(100_000_000_000, 16) { Form = options.Form with { ScaledRankDropout = true } }), at("transformer_blocks.0.ff.net.2"));
        Assert.Equal(("loha", new AdapterNumbers(16, 16) { Form = options.Form }), at("transformer_blocks.0.attn1.to_q"));
        Assert.Equal(("loha", new AdapterNumbers(2, 16) { Form = options.Form }), at("proj_in"));
    }

    [Fact]
    public void A_class_of_layers_can_be_the_target()
    {
        var targets = LayerPresetFile.Read("unet_target_module = [\"Linear\"]\nunet_target_name = []\ntext_encoder_target_module = []\n[module_algo_map.Linear]\ndim = 3\n", "mine.toml", new());
        var options = new NetworkOptions { Family = "locon", Targets = targets };
        var chosen = RealSd15.Value.Sites.Where(site => options.AdapterAt(site, targets) is not null).ToList();
        Assert.Equal(184, chosen.Count);
        Assert.All(chosen, site => Assert.Equal((LayerKind.Linear, NetworkPart.UNet, 3L), (site.Layer.Shape.Kind, site.Part, options.AdapterAt(site, targets)!.Value.Numbers.Rank)));
    }

    [Theory]
    [InlineData("conv_*", "conv_in", true)]
    [InlineData("conv_[!i]*", "conv_in", false)]
    [InlineData("conv_[!i]*", "conv_out", true)]
    [InlineData("conv_[^i]n", "conv_in", true)]
    [InlineData("conv_[^i]n", "conv_^n", true)]
    [InlineData("to_[k-q]", "to_q", true)]
    [InlineData("to_[q", "to_[q", true)]
    [InlineData("to_[]q]", "to_]", true)]
    [InlineData("to_?", "to_", false)]
    public void Wildcards_are_Pythons(string pattern, string name, bool fits) => Assert.Equal(fits, System.Text.RegularExpressions.Regex.IsMatch(name, ShellPattern.Expression(pattern)));

    [Fact]
    public void Names_are_filtered_by_patterns_that_may_match_anywhere()
    {
        var options = new NetworkOptions { Rank = 8, Include = ["attn2", "ff"], Exclude = [@"up_blocks\.3"], RanksByName = [new(@"ff\.net\.2", 0), new("to_k", 2)] };
        var targets = LayerTargets.Kohya(options);
        var chosen = RealSd15.Value.Sites.Where(site => options.AdapterAt(site, targets) is not null).ToDictionary(site => site.Layer.Key, site => options.AdapterAt(site, targets)!.Value.Numbers.Rank);
        Assert.All(chosen.Keys, key => Assert.True((key.Contains("attn2") || key.Contains("ff")) && !key.Contains("up_blocks.3") && !key.EndsWith("ff.net.2")));
        Assert.Equal((8, 2), (chosen["mid_block.attentions.0.transformer_blocks.0.attn2.to_q"], chosen["mid_block.attentions.0.transformer_blocks.0.attn2.to_k"]));
        var problems = new Problems();
        new NetworkOptions { Include = ["("] }.Check(problems);
        Assert.Contains("no pattern", Assert.Single(problems.All).What);
    }

    // The layers of SD 1.5 at their real sizes, without memory.
    private static readonly Lazy<ModelLayers> RealSd15 = new(() =>
    {
        var compute = new Compute(new(TorchSharp.DeviceType.META), ScalarType.Float32);
        return new(new ClipTextModel(ClipTextSpec.ClipL, compute).AdaptableLayers, new UNet(UNetSpec.Sd1, compute).AdaptableLayers);
    });

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
