using System.Text.Json;
using Levain.Formats;
using Levain.Models;
using Xunit;

namespace Levain.Tests.Models;

/// <summary>Every case of <c>keys/detection.json</c>, and the LoRA and embedding files of the other areas.</summary>
public sealed class ModelKindTests(ITestOutputHelper output)
{
    [Fact]
    public void Base_models_are_told_by_their_keys()
    {
        var cases = Golden.Json("keys", "detection.json").EnumerateArray().ToList();
        foreach (var row in cases)
        {
            var shapes = Shapes(row);
            var kind = ModelKind.Detect(shapes.GetValueOrDefault, shapes.Keys, new Dictionary<string, string>());
            var expected = row.GetProperty("expected");
            var name = row.GetProperty("name").GetString();
            output.WriteLine($"{name}: {kind.Name}");
            switch (expected.GetProperty("family").GetString())
            {
                case "none":
                    Assert.NotEqual(FileContent.Checkpoint, kind.Content);
                    Assert.NotEqual(FileContent.Unknown, kind.Content);
                    continue;
                case "unsupported":
                    Assert.Equal(ModelFamily.SdxlDistilled, kind.Family);
                    continue;
                case var family:
                    Assert.Equal(FileContent.Checkpoint, kind.Content);
                    Assert.Equal(family!.Replace("-", ""), kind.Family.ToString().ToLowerInvariant());
                    break;
            }
            Assert.Equal(expected.GetProperty("variant").GetString(), kind.Variant == ModelVariant.Inpainting ? "inpaint" : kind.Variant.ToString().ToLowerInvariant());
            Assert.Equal(expected.GetProperty("prediction").GetString(), kind.Prediction == PredictionHint.Undecidable ? "undecidable by keys" : kind.Prediction.ToString().ToLowerInvariant());
            Assert.Equal(expected.TryGetProperty("zero_terminal_snr", out var zero) && zero.GetBoolean(), kind.ZeroTerminalSnr);
        }
        output.WriteLine($"{cases.Count} cases.");
    }

    [Fact]
    public void Tiny_models_of_unusual_widths_keep_their_family()
    {
        Assert.Equal(new(FileContent.Checkpoint, ModelFamily.Sd1) { Prediction = PredictionHint.Epsilon }, Tiny("sd1-tiny"));
        Assert.Equal(ModelFamily.Sdxl, Tiny("sdxl-tiny").Family);
        Assert.Equal(FileContent.Vae, Tiny("vae-tiny").Content);

        static ModelKind Tiny(string model)
        {
            var shapes = ReadShapes(Golden.Json("keys", "tiny.json").GetProperty(model));
            return ModelKind.Detect(shapes.GetValueOrDefault, shapes.Keys, new Dictionary<string, string>());
        }
    }

    [Fact]
    public void Networks_are_told_in_every_spelling()
    {
        var files = Directory.GetFiles(Golden.Path("lora-tools"), "variant_*.safetensors").Concat(Directory.GetFiles(Golden.Path("networks"), "file_*.safetensors"));
        foreach (var path in files)
        {
            using var file = TensorFile.Open(path);
            var kind = ModelKind.Detect(file);
            Assert.True(kind.Content == FileContent.Lora, $"{Path.GetFileName(path)} is taken for {kind.Name}.");
            if (path.Contains("lora_x")) Assert.True(kind.Family == ModelFamily.Sdxl, $"{Path.GetFileName(path)} is taken for {kind.Name}.");
        }
    }

    internal static Dictionary<string, long[]?> Shapes(JsonElement row)
    {
        if (row.TryGetProperty("keys", out var keys)) return ReadShapes(keys);
        var shapes = KeyMapTests.Rows(row.GetProperty("base").GetString() + ".json")
            .ToDictionary(r => r.Row.GetProperty("ldm").GetString()!, r => (long[]?)Shape(r.Row.GetProperty("shape")));
        foreach (var change in (string[])["replace", "add"])
        {
            if (!row.TryGetProperty(change, out var changed)) continue;
            foreach (var pair in changed.EnumerateObject()) shapes[pair.Name] = Shape(pair.Value);
        }
        if (!row.TryGetProperty("remove", out var prefixes)) return shapes;
        foreach (var prefix in prefixes.EnumerateArray())
        {
            foreach (var key in shapes.Keys.Where(key => key.StartsWith(prefix.GetString()!)).ToList()) shapes.Remove(key);
        }
        return shapes;
    }

    private static Dictionary<string, long[]?> ReadShapes(JsonElement keys) => keys.EnumerateObject().ToDictionary(pair => pair.Name, pair => (long[]?)Shape(pair.Value));

    private static long[] Shape(JsonElement sides) => [.. sides.EnumerateArray().Select(side => side.GetInt64())];
}
