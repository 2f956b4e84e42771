using System.Text.Json;
using Levain.Core;
using Levain.Models;
using Levain.Networks;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Networks;

public sealed class ForwardTests(ITestOutputHelper output)
{
    private static readonly GoldenTensors Layers = new("networks", "forward_layers.safetensors");
    private static readonly Dictionary<string, GoldenTensors> Files = [];

    [Fact]
    public void Outputs_deltas_and_gradients_are_the_references()
    {
        var (computed, refused) = (new List<string>(), new List<string>());
        foreach (var row in Golden.Json("networks", "forward.json").EnumerateObject())
        {
            var name = FamilyOf(row.Name, row.Value);
            if (AdapterFamilies.All.All(family => family.Name != name))
            {
                var refusal = Assert.Throws<SettingsException>(() => AdapterFamilies.Named(name));
                Assert.Contains($"'{name}'", refusal.Message);
                refused.Add(row.Name);
                continue;
            }
            foreach (var layer in row.Value.GetProperty("layers").EnumerateObject()) Compare(row.Name, layer.Name, layer.Value, AdapterFamilies.Named(name));
            computed.Add(row.Name);
        }
        output.WriteLine($"{computed.Count} cases computed: {string.Join(", ", computed)}");
        output.WriteLine($"{refused.Count} refused by name: {string.Join(", ", refused)}");
        Assert.Contains("kohya_lora", computed);
    }

    [Theory]
    [InlineData("linear")]
    [InlineData("conv1x1")]
    [InlineData("conv3x3")]
    [InlineData("conv3x3s2")]
    public void In_one_weight_or_as_a_product_the_output_is_the_same(string layer)
    {
        using var scope = NewDisposeScope();
        var target = Layer(layer);
        using var network = Create(target, new() { Rank = 3, Alpha = 2, ConvRank = 3 });
        network.Attach(0.7);
        var x = Layers[$"{layer}/x"];
        var product = target.Call(x);
        Tensor merged;
        using (no_grad())
        {
            network.Merge(0.7);
            merged = target.Call(x);
        }
        Close(product, merged, 2e-5, layer);
        network.Detach();
        Assert.Null(target.Patch);
        Assert.True(target.Weight.equal(Layers[$"{layer}/weight"]).all().item<bool>());
    }

    [Theory]
    [InlineData("linear", false, ScalarType.Float32)]
    [InlineData("linear", false, ScalarType.BFloat16)]
    [InlineData("conv1x1", false, ScalarType.Float32)]
    [InlineData("conv1x1", true, ScalarType.Float32)]
    public void As_one_node_of_the_graph_it_is_the_plain_arrangement(string layer, bool pixelsFirst, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        var target = Layer(layer);
        using var network = Create(target, new() { Rank = 3, Alpha = 2, Dropout = 0.3, RankDropout = 0.3 });
        network.Attach(0.7);
        network.Training = true;
        var outcomes = new List<(Tensor Y, Tensor Dx, Tensor Gradient)>();
        foreach (var fused in new[] { true, false })
        {
            network.DropoutSource = new Generator(11);
            network.ZeroGradients();
            var x = Layers[$"{layer}/x"].to_type(dtype);
            if (pixelsFirst) x = x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2);
            x.requires_grad_(true);
            var y = fused ? target.Call(x) : network.Adapters[0].Forward(x, target.Apply(x, target.Weight.to_type(dtype), target.Bias!.to_type(dtype)), 0.7);
            (y * Layers[$"{layer}/probe"]).sum().backward();
            outcomes.Add((y.to_type(ScalarType.Float32), x.grad!.to_type(ScalarType.Float32), network.Gradients.clone()));
        }
        var tolerance = dtype == ScalarType.Float32 ? 1e-5 : 0.1;      // bf16 keeps eight bits
        Close(outcomes[1].Y, outcomes[0].Y, tolerance, "y");
        Close(outcomes[1].Dx, outcomes[0].Dx, tolerance, "dx");
        Close(outcomes[1].Gradient, outcomes[0].Gradient, tolerance, "gradient");
        Assert.True(outcomes[0].Gradient.abs().max().item<float>() > 0.1);
    }

    [Fact]
    public void An_input_that_needs_no_gradient_gets_none()
    {
        using var scope = NewDisposeScope();
        var target = Layer("linear");
        using var network = Create(target, new() { Rank = 2 });
        network.Attach();
        network.Training = true;
        var x = Layers["linear/x"];
        target.Call(x).sum().backward();
        Assert.Null(x.grad);
        Assert.True(network.Gradients.abs().max().item<float>() > 0);
    }

    [Fact]
    public void Without_gradients_a_large_product_becomes_one_weight_until_something_changes()
    {
        using var scope = NewDisposeScope();
        var target = Layer("conv3x3");
        using var network = Create(target, new() { Rank = 8, ConvRank = 16 });
        Assert.True(network.Adapters[0].PrefersWeight);
        var x = Layers["conv3x3/x"];
        void same(double strength)
        {
            using var frozen = no_grad();
            var plain = target.Apply(x, target.Weight, target.Bias);
            Close(network.Adapters[0].Forward(x, plain, strength), target.Call(x), 2e-5, $"at {strength}");
        }
        foreach (var strength in new[] { 1, 0.5, -0.3 })
        {
            network.Attach(strength);
            same(strength);
            same(strength);
        }
        network.Values.mul_(2);
        network.Forget();
        same(-0.3);
        network.Detach();
        Assert.True(target.Call(x).equal(target.Apply(x, target.Weight, target.Bias)).all().item<bool>());
    }

    [Fact]
    public void Networks_in_one_slot_add_up_and_leave_no_trace()
    {
        using var scope = NewDisposeScope();
        var target = Layer("linear");
        var x = Layers["linear/x"];
        using var one = Create(target, new() { Rank = 2 });
        using var two = Create(target, new() { Rank = 5 });
        var plain = target.Call(x);
        one.Attach(0.5);
        two.Merge(2);
        var both = target.Call(x);
        var expected = plain + nn.functional.linear(x, one.Adapters[0].WeightDelta() * 0.5 + two.Adapters[0].WeightDelta() * 2);
        Close(expected, both, 2e-5, "both");
        one.Merge(0.5);
        two.Detach();
        one.Detach();
        Assert.Null(target.Patch);
        Assert.True(target.Call(x).equal(plain).all().item<bool>());
    }

    [Theory]
    [InlineData("linear", 0.1)]
    [InlineData("conv1x1", 0)]
    [InlineData("conv3x3", 0.1)]
    public void A_training_step_leaks_no_tensor(string layer, double dropout)
    {
        using var scope = NewDisposeScope();
        var target = Layer(layer);
        using var network = Create(target, new() { Rank = 2, ConvRank = 2, Dropout = dropout, RankDropout = dropout, ModuleDropout = dropout });
        network.Attach();
        network.DropoutSource = new Generator(3);
        network.Training = true;
        var (x, probe) = (Layers[$"{layer}/x"], Layers[$"{layer}/probe"]);
        void step()
        {
            using var inner = NewDisposeScope();
            (target.Call(x.detach().requires_grad_(true)) * probe).sum().backward();
        }
        step();
        var before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        for (var i = 0; i < 20; i++) step();
        Assert.InRange(DisposeScopeManager.Statistics.ThreadTotalLiveCount, 0, before + 1);     // one input gradient waits for the next node
    }

    [Fact]
    public void Gradients_gather_in_one_buffer()
    {
        using var scope = NewDisposeScope();
        var target = Layer("linear");
        using var network = Create(target, new() { Rank = 2 });
        network.Attach();
        network.Training = true;
        for (var pass = 0; pass < 2; pass++) (target.Call(Layers["linear/x"]) * Layers["linear/probe"]).sum().backward();
        var parameter = network.Adapters[0].Parameters[1];
        var gathered = network.Gradients.narrow(0, parameter.Start, parameter.Length).view([.. parameter.Shape]);
        Assert.True(gathered.abs().max().item<float>() > 0);
        Assert.True(gathered.equal(parameter.Value.grad!).all().item<bool>());
        network.ZeroGradients();
        Assert.Equal(0, parameter.Value.grad!.abs().max().item<float>());
    }

    private void Compare(string name, string layer, JsonElement facts, AdapterFamily family)
    {
        using var scope = NewDisposeScope();
        var golden = FileOf(name);
        var (prefix, target) = ($"{name}/{layer}/", Layer(layer));
        var parts = new AdapterParts("forward", layer);
        foreach (var key in golden.Names.Where(key => key.StartsWith(prefix + "saved/")))
            parts.Add(key[(prefix.Length + 6)..], key, golden[key].shape, () => golden[key]);
        using var network = Network.Of(family, family.Read(new(NetworkPart.UNet, target), parts)!, parts);
        var adapter = network.Adapters[0];
        if (facts.GetProperty("scale").ValueKind != JsonValueKind.Null) Assert.Equal(facts.GetProperty("scale").GetDouble(), adapter.Scale, 6);
        network.Training = true;
        foreach (var strength in new[] { 1, 0.6 })
        {
            if (!golden.Names.Contains($"{prefix}out@{strength}")) continue;
            var where = $"{name} {layer} @{strength}";
            network.Attach(strength);
            network.ZeroGradients();
            var x = Layers[$"{layer}/x"].requires_grad_(true);
            var y = target.Call(x);
            (y * Layers[$"{layer}/probe"]).sum().backward();
            Close(golden[$"{prefix}out@{strength}"], y, 2e-5, where);
            if (golden.Names.Contains($"{prefix}delta@{strength}"))
                Close(golden[$"{prefix}delta@{strength}"], adapter.Weight(target.Weight, strength) - target.Weight, 2e-5, where + " delta");
            CloseGradient(golden[$"{prefix}grad@{strength}/x"], x.grad!, where + " x");
            foreach (var parameter in adapter.Parameters)
                if (golden.Names.Contains($"{prefix}grad@{strength}/{parameter.Name}"))
                    CloseGradient(golden[$"{prefix}grad@{strength}/{parameter.Name}"], parameter.Value.grad!, $"{where} {parameter.Name}");
                else Assert.True(parameter.IsFrozen, $"{where}: no recorded gradient of {parameter.Name}");
        }
    }

    private static GoldenTensors FileOf(string name)
    {
        lock (Files)
        {
            if (Files.Count == 0)
                foreach (var path in Directory.GetFiles(Golden.Path("networks"), "forward_*.safetensors"))
                {
                    var file = new GoldenTensors("networks", Path.GetFileName(path));
                    foreach (var found in file.Names.Select(key => key.Split('/')[0]).Distinct()) Files.TryAdd(found, file);
                }
            return Files[name];
        }
    }

    // The name a run file gives to what the case was made with.
    private static string FamilyOf(string name, JsonElement row) =>
        row.TryGetProperty("module", out var module) ? module.GetString() == "lora" ? "lora" : $"kohya_{module.GetString()}"
        : !row.TryGetProperty("args", out var args) ? name
        : args.GetProperty("algo").GetString()! + (args.TryGetProperty("dora_wd", out _) ? "+dora" : args.TryGetProperty("bypass_mode", out _) ? "+bypass" : "");

    internal static FakeLayer Layer(string layer)
    {
        var weight = Layers[$"{layer}/weight"].DetachFromDisposeScope();
        var shape = weight.shape;
        return new FakeLayer(layer, shape.Length == 1 ? new(LayerKind.Linear, shape[0], shape[0], (1, 1), (1, 1), (0, 0))
            : FakeLayer.ShapeOf(shape, layer.EndsWith("s2") ? 2 : 1, shape.Length == 4 && shape[2] == 3 ? 1 : 0),
            () => weight, Layers[$"{layer}/bias"].DetachFromDisposeScope());
    }

    private static Network Create(FakeLayer layer, NetworkOptions options)
    {
        var family = AdapterFamilies.Named(options.Family);
        var site = new AdapterSite(NetworkPart.UNet, layer);
        var network = Network.Of(family, family.Create(site, options.NumbersAt(site)!), null);
        network.Values.normal_(0, 0.2, new Generator(7));
        return network;
    }

    private static void Close(Tensor expected, Tensor actual, double tolerance, string where)
    {
        using var scope = NewDisposeScope();
        Assert.Equal(expected.shape, actual.shape);
        var off = (expected - actual).abs().max().item<float>();
        Assert.True(off <= tolerance, $"{where}: {off}");
    }

    // 1e-4 absolute or 1e-5 relative, as the golden data's README has it.
    private static void CloseGradient(Tensor expected, Tensor actual, string where)
    {
        using var scope = NewDisposeScope();
        Assert.Equal(expected.shape, actual.shape);
        var off = ((expected - actual).abs() - expected.abs() * 1e-5).max().item<float>();
        Assert.True(off <= 1e-4, $"{where}: {off}");
    }
}
