using System.Text.Json;
using Levain.Models;
using Xunit;

namespace Levain.Tests.Models;

/// <summary>Every row of <c>keys/sd1.json</c>, <c>sd2.json</c>, <c>sdxl.json</c>, both ways.</summary>
public sealed class KeyMapTests(ITestOutputHelper output)
{
    private static readonly (string File, KeyMap Map)[] Maps = [("sd1.json", KeyMap.Sd1), ("sd2.json", KeyMap.Sd2), ("sdxl.json", KeyMap.Sdxl)];

    [Fact]
    public void Every_single_file_key_finds_its_name_and_its_way_back()
    {
        foreach (var (file, map) in Maps)
        {
            var rows = Rows(file).ToList();
            foreach (var (part, row) in rows)
            {
                var key = row.GetProperty("ldm").GetString()!;
                var mapped = map.ToDiffusers(key);
                Assert.True(mapped is not null, $"{file}: {key} is not mapped.");
                Assert.Equal(part, mapped.Part);
                Assert.Equal(row.GetProperty("transform").GetString(), mapped.Transform.ToString().ToLowerInvariant());
                Assert.Equal(Names(row.GetProperty("diffusers")), mapped.Names);
                for (var third = 0; third < mapped.Names.Count; third++)
                    Assert.Equal((key, mapped.Transform, third), map.ToSingleFile(part, mapped.Names[third]));
            }
            output.WriteLine($"{file}: {rows.Count} keys.");
        }
    }

    [Fact]
    public void No_two_keys_share_a_name()
    {
        foreach (var (file, map) in Maps)
        {
            var names = Rows(file).Select(row => map.ToDiffusers(row.Row.GetProperty("ldm").GetString()!)!)
                .SelectMany(mapped => mapped.Names.Select(name => (mapped.Part, name))).ToList();
            Assert.Equal(names.Count, names.Distinct().Count());
        }
    }

    [Fact]
    public void Keys_that_are_no_weights_are_left_out()
    {
        foreach (var row in Golden.Json("keys", "extra.json").EnumerateArray())
        {
            var use = row.GetProperty("use").GetString()!;
            if (!use.StartsWith("ignore")) continue;
            var keys = row.TryGetProperty("keys", out var list) ? list.EnumerateArray().Select(k => k.GetString()!) : [row.GetProperty("prefix").GetString() + "x.weight"];
            foreach (var key in keys) Assert.All(Maps, m => Assert.Null(m.Map.ToDiffusers(key)));
        }
    }

    [Fact]
    public void Old_files_may_leave_out_the_text_model_level()
    {
        Assert.Equal("text_model.encoder.layers.3.mlp.fc1.bias", KeyMap.Sd1.ToDiffusers("cond_stage_model.transformer.encoder.layers.3.mlp.fc1.bias")!.Names[0]);
        Assert.Equal("text_model.embeddings.token_embedding.weight", KeyMap.Sd1.ToDiffusers("cond_stage_model.transformer.embeddings.token_embedding.weight")!.Names[0]);
    }

    internal static IEnumerable<(ModelPart Part, JsonElement Row)> Rows(string file) =>
        from part in Golden.Json("keys", file).EnumerateObject()
        from row in part.Value.EnumerateArray()
        select (Part(part.Name), row);

    private static ModelPart Part(string name) => name switch
    {
        "unet" => ModelPart.UNet,
        "vae" => ModelPart.Vae,
        "text" or "text_1" => ModelPart.TextEncoder,
        "text_2" => ModelPart.TextEncoder2,
        _ => throw new FormatException(name),
    };

    private static List<string> Names(JsonElement diffusers) => diffusers.ValueKind switch
    {
        JsonValueKind.Null => [],
        JsonValueKind.String => [diffusers.GetString()!],
        _ => [.. diffusers.EnumerateArray().Select(name => name.GetString()!)],
    };
}
