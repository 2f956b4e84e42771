using System.Text.Json;
using Levain.Core;
using Levain.Diffusion;
using Levain.Generation;
using Levain.Networks;
using Xunit;

namespace Levain.Tests.Generation;

/// <summary>Network tags as the webui reads them, and block weights as lora-block-weight reads them.</summary>
public sealed class BlockWeightsTests(ITestOutputHelper output)
{
    private const int Digits = 12;       // products of doubles

    private static JsonElement Recorded => Golden.Json("prompts", "lbw.json");

    private static JsonElement Tables => Golden.Json("prompts", "lbw_tables.json");

    [Fact]
    public void Network_tags_give_the_webui_s_strengths_or_are_refused()
    {
        var (exact, refused) = (0, new List<string>());
        foreach (var row in Golden.Json("prompts", "extra_networks.json").GetProperty("cases").EnumerateArray())
        {
            var tags = PromptTag.Split(row.GetProperty("prompt").GetString()!).Tags.Where(tag => NetworkTag.Kinds.Contains(tag.Kind)).ToList();
            if (!row.TryGetProperty("activate", out var expected) && !row.TryGetProperty("activate_lyco", out expected))
            {
                Assert.Empty(tags);
                continue;
            }
            if (expected.TryGetProperty("error", out _))
            {
                refused.Add(Assert.Throws<SettingsException>(() => tags.Select(NetworkTag.Parse).ToList()).Message);
                continue;
            }
            var read = tags.Select(NetworkTag.Parse).ToList();
            Assert.Equal(expected.GetProperty("names").EnumerateArray().Select(name => name.GetString()), read.Select(tag => tag.Name));
            Assert.Equal(expected.GetProperty("te").EnumerateArray().Select(Number), read.Select(tag => tag.TextEncoder));
            Assert.Equal(expected.GetProperty("unet").EnumerateArray().Select(Number), read.Select(tag => tag.UNet));
            Assert.Equal(expected.GetProperty("dyn").EnumerateArray().Select(dyn => dyn.ValueKind == JsonValueKind.Null ? null : (int?)dyn.GetInt32()), read.Select(tag => tag.Ranks));
            exact++;
        }
        output.WriteLine($"{exact} exact, {refused.Count} refused:\n{string.Join('\n', refused)}");
        Assert.Contains("prompt: <lora:m:1:OUTX> has 'OUTX' where the U-Net's strength is expected. Write a number; block weights are named lbw=OUTX.", refused);

        static double Number(JsonElement value) => value.ValueKind == JsonValueKind.String ? PythonNumber.Float(value.GetString()!)!.Value : value.GetDouble();
    }

    [Fact]
    public void Presets_are_read_as_the_extension_reads_them()
    {
        var presets = Presets();
        Assert.Equal(Pairs(Recorded.GetProperty("loaded_presets")), presets.Weights.OrderBy(pair => pair.Key, StringComparer.Ordinal));
        Assert.Equal(Pairs(Recorded.GetProperty("loaded_elementals")), presets.Layers.OrderBy(pair => pair.Key, StringComparer.Ordinal));

        var (own, theirs) = (BlockPresets.Default(), new BlockPresets());
        theirs.AddWeights(Tables.GetProperty("default_presets").GetString()!);
        theirs.AddLayers(Tables.GetProperty("default_elemental").GetString()!);
        Assert.Equal(theirs.Weights, own.Weights);
        Assert.Equal(theirs.Layers, own.Layers);

        foreach (var line in Tables.GetProperty("load_condition").EnumerateArray())
        {
            var one = new BlockPresets();
            one.AddWeights(line[0].GetString()!);
            Assert.True(one.Weights.Count == (line[1].GetBoolean() ? 1 : 0), line[0].GetString());
        }
        Assert.Equal("The preset 'BAD' has 25 weights and was left out: lists have 12, 17, 20, 26, 61.", Assert.Single(new BlockPresets().AddWeights($"BAD:{string.Join(',', Enumerable.Repeat(1, 25))}")));
    }

    [Fact]
    public void Block_names_and_shorter_lists_are_the_extension_s()
    {
        foreach (var list in Tables.GetProperty("block_ids").EnumerateObject())
            Assert.Equal(list.Value.EnumerateArray().Select(name => name.GetString()), BlockNames.ByLength[int.Parse(list.Name)]);
        foreach (var row in Tables.GetProperty("spread_to_26").EnumerateArray())
            Assert.Equal(row[1].EnumerateArray().Select(value => value.GetDouble()), BlockWeights.Parse(row[0].GetString()!, 1, new(0)));
    }

    [Fact]
    public void Tags_give_every_layer_the_extension_s_strength()
    {
        var (applied, left, refused) = (0, 0, 0);
        var (presets, golden) = (Presets(), Recorded);
        foreach (var row in golden.GetProperty("cases").EnumerateArray())
        {
            var prompt = row.GetProperty("prompt").GetString()!;
            var tags = PromptTag.Split(prompt).Tags;
            if (row.TryGetProperty("error", out var error))
            {
                // "X" without a value is 1 here; a word in a number's place is refused
                if (prompt.Contains("XVEC")) Assert.Equal(1, BlockTag.ReadAll(tags, presets, new(0)).Tags![0].Blocks!.Values[^1]);
                else Assert.Throws<SettingsException>(() => BlockTag.ReadAll(tags, presets, new(0)).Tags ?? throw new InvalidOperationException(error.GetString()));
                refused++;
                continue;
            }
            var (read, notes) = BlockTag.ReadAll(tags, presets, new(0));
            Assert.Equal(row.GetProperty("applied").GetBoolean(), read is not null);
            if (read is null)
            {
                if (prompt.Contains("lbw=") || prompt.Contains("lwb=")) Assert.NotEmpty(notes);
                left++;
                continue;
            }
            foreach (var (net, tag, source) in row.GetProperty("nets").EnumerateArray().Zip(read, tags))
            {
                Assert.Equal((net.GetProperty("te").GetDouble(), net.GetProperty("unet").GetDouble()), (tag.TextEncoder, tag.UNet));
                var blocks = tag.Blocks ?? BlockWeights.Flat(1);
                Assert.Equal(net.GetProperty("blocks").EnumerateArray().Select(value => value.GetDouble()), blocks.Values);
                Assert.Equal(net.GetProperty("elemental").GetString(), blocks.Layers.Text);
                foreach (var model in (string[])["sd1", "sdxl"])
                {
                    var keys = golden.GetProperty("keys").GetProperty(model).EnumerateArray().Select(key => key.GetString()!);
                    foreach (var (key, has, strength) in keys.Zip(golden.GetProperty("key_has_block").GetProperty(model).EnumerateArray().Select(has => has.GetBoolean()), net.GetProperty(model).EnumerateArray()))
                    {
                        Assert.Equal(has, BlockNames.IndexOf(key) >= 0);
                        var part = key[..Math.Min(key.Length, 20)].Contains("transformer") ? tag.TextEncoder : tag.UNet;
                        Assert.Equal(strength.GetDouble(), part * blocks.At(key), Digits);
                    }
                }
                Assert.Equal(row.GetProperty("starts").TryGetProperty(source.Positional[0], out var start) ? start[0].GetInt32() : null, tag.Steps?.Start);
                Assert.Equal(row.GetProperty("stops").TryGetProperty(source.Positional[0], out var stop) ? stop.GetInt32() : null, tag.Steps?.Stop);
            }
            applied++;
        }
        output.WriteLine($"{applied} applied, {left} left out with a remark, {refused} where the reference raises");
    }

    [Fact]
    public void Networks_start_and_stop_at_the_extension_s_calls()
    {
        foreach (var row in Tables.GetProperty("step_control").EnumerateArray())
        {
            var steps = new NetworkSteps(Step("start"), Step("stop"));
            foreach (var (call, strengths) in row.GetProperty("te_unet_per_call").EnumerateArray().Index())
                Assert.True(strengths[1].GetDouble() > 0 == steps.Act(Math.Max(call - 1, 0)), $"{steps} at call {call}");

            int? Step(string name) => row.GetProperty(name).ValueKind == JsonValueKind.Null ? null : row.GetProperty(name).GetInt32();
        }
    }

    [Fact]
    public void Axes_set_blocks_of_a_list_as_the_extension_does()
    {
        foreach (var row in Tables.GetProperty("xyz_block_values").EnumerateArray())
        {
            var (weights, ids, value) = (row.GetProperty("base").GetString()!, row.GetProperty("ids").GetString()!, row.GetProperty("value").GetString()!);
            if (row.GetProperty("result").ValueKind == JsonValueKind.String) Assert.Equal(row.GetProperty("result").GetString(), GridCell.WithBlocks(weights, ids, value));
            else Assert.Contains($"names the block '{ids}', which a list of {weights.Split(',').Length} weights has not", Assert.Throws<SettingsException>(() => GridCell.WithBlocks(weights, ids, value)).Message);
        }
    }

    [Fact]
    public void Block_axes_change_the_preset_XYZ_and_its_opposite()
    {
        var presets = BlockPresets.Default();
        var cell = new GridCell(new() { Prompt = "a <lora:m:1:lbw=XYZ><lora:n:1:lbw=ZYX>" }) { BlockBase = "INS\nOUTD", BlockIds = "M00", BlockValue = "0.25" }.Finished(presets);
        Assert.Equal("1,1,1,1,0,0,0,0.25,1,1,1,1,0,0,0,0,0", cell.Request.BlockPresets!.Weights["XYZ"]);
        Assert.Equal("0,0,0,0,1,1,1,0.75,0,0,0,0,1,1,1,1,1", cell.Request.BlockPresets.Weights["ZYX"]);
        Assert.Equal("IN05-OUT05:attn:1", new GridCell(new() { Prompt = "<lora:m:1:lbwe=XYZ>" }) { LayerRules = "ATTNDEEPON" }.Finished(presets).Request.BlockPresets!.Layers["XYZ"]);
        Assert.Contains("does not use the preset XYZ", Assert.Throws<SettingsException>(() => new GridCell(new() { Prompt = "<lora:m:1>" }) { BlockIds = "M00" }.Finished(presets)).Message);
    }

    [Fact]
    public void Drawn_weights_lie_in_their_ranges_and_come_from_the_seed()
    {
        var list = string.Join(',', Enumerable.Range(0, 26).Select(i => i % 2 == 0 ? "R" : "U"));
        var values = BlockWeights.Parse(list, 1, new(7))!;
        Assert.Equal(values, BlockWeights.Parse(list, 1, new(7)));
        Assert.NotEqual(values, BlockWeights.Parse(list, 1, new(8)));
        Assert.All(values.Index(), place => Assert.InRange(place.Item, place.Index % 2 == 0 ? 0 : -0.5, place.Index % 2 == 0 ? 1 : 1.5));
    }

    private static BlockPresets Presets()
    {
        var presets = new BlockPresets();
        presets.AddWeights(Recorded.GetProperty("presets").GetString()!);
        presets.AddLayers(Recorded.GetProperty("elemental_presets").GetString()!);
        return presets;
    }

    private static IEnumerable<KeyValuePair<string, string>> Pairs(JsonElement map) =>
        map.EnumerateObject().Select(pair => KeyValuePair.Create(pair.Name, pair.Value.GetString()!)).OrderBy(pair => pair.Key, StringComparer.Ordinal);
}
