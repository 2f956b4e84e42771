using System.Text.Json;
using Levain.Core;
using Levain.Networks;
using Levain.Training.Kohya;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Networks;

/// <summary>Names, shapes, alphas and scales of every setting over every layer size of SD 1.5, 2.1 and XL.</summary>
public sealed class LycorisShapeTests(ITestOutputHelper output)
{
    private static readonly JsonElement Recorded = Golden.Json("networks", "lycoris_shapes.json");

    [Fact]
    public void Sides_are_split_as_LyCORIS_splits_them()
    {
        foreach (var side in Recorded.GetProperty("factorization").EnumerateObject())
            foreach (var factor in side.Value.EnumerateObject())
                Assert.Equal((side.Name, factor.Name, Pair(factor.Value)), (side.Name, factor.Name, LoKr.Factorization(long.Parse(side.Name), long.Parse(factor.Name))));
        foreach (var side in Recorded.GetProperty("power2factorization").EnumerateObject())
            foreach (var most in side.Value.EnumerateObject())
                Assert.Equal((side.Name, most.Name, Pair(most.Value)), (side.Name, most.Name, Boft.Factorization(long.Parse(side.Name), long.Parse(most.Name))));

        static (long, long)? Pair(JsonElement pair) => pair.ValueKind == JsonValueKind.Null || pair[0].ValueKind == JsonValueKind.Null ? null : (pair[0].GetInt64(), pair[1].GetInt64());
    }

    [Fact]
    public void Tensors_alphas_and_scales_are_LyCORIS_own()
    {
        var (compared, layers) = (0, 0);
        foreach (var config in Recorded.GetProperty("configs").EnumerateObject())
        {
            var options = Options(config.Value);
            foreach (var layer in config.Value.GetProperty("layers").EnumerateObject()) layers += Compare($"{config.Name} {layer.Name}", options, layer) ? 1 : 0;
            compared++;
        }
        output.WriteLine($"{compared} settings compared, {layers} layers.");
        Assert.True(compared > 0);
    }

    private static bool Compare(string where, NetworkOptions options, JsonProperty recorded)
    {
        using var scope = NewDisposeScope();
        var sides = recorded.Name[(recorded.Name.IndexOf('_') + 1)..].Split('x').Select(long.Parse).ToArray();
        var layer = new FakeLayer("layer", FakeLayer.ShapeOf(sides), () => empty(sides, device: new Device(DeviceType.META)).DetachFromDisposeScope(), empty([sides[0]], device: new Device(DeviceType.META)).DetachFromDisposeScope());
        var site = new AdapterSite(NetworkPart.UNet, layer);
        var chosen = options.AdapterAt(site, new() { UNetNames = ["layer"], Convolutions = options.Targets?.Convolutions ?? true });
        if (recorded.Value.ValueKind == JsonValueKind.Null)
        {
            Assert.True(chosen is null, where);
            return false;
        }
        var (family, numbers) = chosen!.Value;
        var refusal = family.Check(site, numbers);
        Assert.True(recorded.Value.TryGetProperty("error", out _) == refusal is not null, $"{where}: {refusal}");
        if (refusal is not null) return false;
        var adapter = family.Create(site, numbers);
        // Full and DyLoRA keep their tensors in another form than they save them; both are saved without an adapter's memory being filled.
        var shapes = adapter switch
        {
            Full => new Dictionary<string, long[]> { ["diff"] = layer.Weight.shape, ["diff_b"] = layer.Bias!.shape },
            RankPieces => Saved(family, adapter),
            _ => adapter.Parameters.Where(parameter => parameter.Name != LoCon.ScalarName).ToDictionary(parameter => parameter.Name, parameter => parameter.Shape.ToArray()),
        };
        var facts = recorded.Value.EnumerateObject().ToList();
        foreach (var fact in facts.Where(fact => fact.Value.ValueKind == JsonValueKind.Array))
            Assert.Equal((where, fact.Name, string.Join(',', FakeLayer.Longs(fact.Value))), (where, fact.Name, string.Join(',', shapes.GetValueOrDefault(fact.Name, []))));
        Assert.Equal(facts.Where(fact => fact.Value.ValueKind == JsonValueKind.Array).Select(fact => fact.Name).Order(), shapes.Keys.Where(name => name != "alpha").Order());
        if (recorded.Value.TryGetProperty("scale", out var scale) && scale.ValueKind == JsonValueKind.Number) Assert.Equal(scale.GetDouble(), adapter.Scale, 6);
        if (!recorded.Value.TryGetProperty("alpha", out var alpha) || alpha.ValueKind != JsonValueKind.Number) return true;
        var saved = AlphaOf(adapter);
        Assert.True(Math.Abs(alpha.GetDouble() - saved.Value) <= 1e-6 * Math.Abs(alpha.GetDouble()), $"{where}: alpha {saved.Value}, expected {alpha}");
        Assert.Equal((where, recorded.Value.GetProperty("alpha_dtype").GetString()), (where, saved.Type == ScalarType.Int64 ? "int64" : "float32"));
        return true;
    }

    private static (double Value, ScalarType Type) AlphaOf(Adapter adapter)
    {
        using var network = Network.Of(adapter.Family, adapter, null);
        var alpha = adapter.Saved().First(pair => pair.Key == "alpha").Value;
        return (alpha.to_type(ScalarType.Float64).item<double>(), alpha.dtype);
    }

    private static Dictionary<string, long[]> Saved(AdapterFamily family, Adapter adapter)
    {
        using var network = Network.Of(family, adapter, null);
        return adapter.Saved().ToDictionary(pair => pair.Key, pair => pair.Value.shape);
    }

    private static NetworkOptions Options(JsonElement config)
    {
        var words = config.GetProperty("args").EnumerateObject().Select(pair => $"{pair.Name}={pair.Value.GetString()}");
        var alpha = config.GetProperty("network_alpha").GetRawText();
        var (settings, problems) = KohyaArguments.Read(
            ["--network_module", "lycoris.kohya", "--network_dim", config.GetProperty("network_dim").GetRawText(), "--network_alpha", alpha, "--network_args", .. words], KohyaArguments.Trainer, File.ReadAllText);
        Assert.DoesNotContain(problems.All, problem => problem.Where.Contains("network"));
        // The table's alphas were whole numbers of Python.
        return settings.Network.ToOptions(wholeAlpha: !alpha.Contains('.'), Compat.Kohya);
    }
}
