using System.Text.Json;
using Levain.Core;
using Levain.Models;
using Levain.Networks;
using Levain.Training.Kohya;
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
        var computed = new List<string>();
        foreach (var row in Golden.Json("networks", "forward.json").EnumerateObject())
        {
            foreach (var layer in row.Value.GetProperty("layers").EnumerateObject()) Compare(row.Name, layer.Name, row.Value, layer.Value);
            computed.Add(row.Name);
        }
        output.WriteLine($"{computed.Count} cases computed: {string.Join(", ", computed)}; none refused.");
        Assert.Contains("kohya_lora", computed);
    }

    [Fact]
    public void Initial_values_have_the_references_distributions()
    {
        var (forward, compared) = (Golden.Json("networks", "forward.json"), 0);
        foreach (var row in Golden.Json("networks", "initial_values.json").EnumerateObject())
            foreach (var recorded in row.Value.EnumerateObject())
            {
                using var scope = NewDisposeScope();
                var layer = Layer(recorded.Name);
                var options = OptionsOf(row.Name, forward.GetProperty(row.Name));
                if (row.Name == "ia3_in") options = options with { Form = options.Form with { OnInput = true } };
                var (family, numbers) = options.AdapterAt(new(NetworkPart.UNet, layer), new() { UNetNames = [layer.Key] })!.Value;
                using var network = Network.Of(family, family.Create(new(NetworkPart.UNet, layer), numbers), null);
                network.Adapters[0].Initialize(new Generator(1));
                foreach (var tensor in recorded.Value.EnumerateObject())
                {
                    var found = Found(network.Adapters[0], tensor.Name, layer);
                    Assert.Equal(FakeLayer.Longs(tensor.Value[0]).Aggregate(1L, (product, side) => product * side), found.numel());
                    Distributed($"{row.Name} {recorded.Name} {tensor.Name}", found, tensor.Value[1].GetString()!, layer);
                }
                compared++;
            }
        output.WriteLine($"{compared} adapters compared.");
        Assert.True(compared > 0);

        // A whole layer starts as it is: what is saved, the difference, is 0. kohya's DyLoRA keeps every rank by itself.
        static Tensor Found(Adapter adapter, string name, FakeLayer layer)
        {
            if (adapter is Full) return name == "weight" ? adapter.WeightDelta() : adapter.BiasDelta()!;
            if (adapter.Parameters.FirstOrDefault(parameter => parameter.Name == name) is { } whole && whole.Name.Split('.')[0] is not ("lora_A" or "lora_B")) return whole.Value;
            var (half, rank) = (name.Split('.')[0], int.Parse(name.Split('.')[1]));
            var pieces = adapter.Parameters.Where(parameter => parameter.Name.StartsWith(half + ".")).Select(parameter => parameter.Value).ToArray();
            return cat(pieces, half == "lora_A" ? 0 : 1).select(half == "lora_A" ? 0 : 1, rank);
        }
    }

    private static void Distributed(string where, Tensor values, string rule, FakeLayer layer)
    {
        const int Enough = 64;          // numbers from which on a spread says something
        var largest = values.abs().max().item<float>();
        var spread = values.numel() > 1 ? values.std().item<float>() : 0;
        double number(string text) => text.Contains("sqrt") ? 1 / Math.Sqrt(double.Parse(text[(text.LastIndexOf('(') + 1)..].TrimEnd(')'))) : double.Parse(text);
        if (rule is "0" or "1") Assert.True(values.sub(double.Parse(rule)).abs().max().item<float>() == 0, where);
        else if (rule.StartsWith("uniform"))
        {
            var bound = number(rule["uniform(+-".Length..^1]);
            Assert.True(largest <= bound * (1 + 1e-6), $"{where}: {largest} beyond {bound}");
            if (values.numel() >= Enough) Assert.InRange(spread / (bound / Math.Sqrt(3)), 0.8, 1.2);
        }
        else if (rule.StartsWith("normal(0, "))
        {
            if (values.numel() >= Enough) Assert.InRange(spread / number(rule["normal(0, ".Length..^1]), 0.75, 1.25);
            else Assert.NotEqual(0, largest);
        }
        else
        {
            Assert.StartsWith("norm of W over all axes but ", rule);
            Close(Adapter.NormOver(layer.Weight, int.Parse(rule[^1..])), values, 1e-6, where);
        }
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

    [Theory]
    [InlineData("locon", DoraAxis.None)]
    [InlineData("loha", DoraAxis.None)]
    [InlineData("lokr", DoraAxis.None)]
    [InlineData("dora", DoraAxis.Output)]
    [InlineData("dora", DoraAxis.Input)]
    public void A_layer_large_enough_for_our_own_kernels_gives_what_its_weight_gives(string family, DoraAxis axis)
    {
        const int inner = 288, outer = 416, tokens = 200, rank = 8;
        using var scope = NewDisposeScope();
        Tensor made(string name, params long[] sides) => Synth.Input(name, sides.Aggregate(1L, (product, side) => product * side)).view(sides);
        var (weight, bias) = (made("large.w", outer, inner).mul_(0.06), made("large.b", outer));
        var target = new FakeLayer("down_blocks.0.attentions.0.proj_in", new(LayerKind.Linear, inner, outer, (1, 1), (1, 1), (0, 0)), () => weight, bias);
        using var network = Create(target, new() { Family = family, Rank = rank, Alpha = rank, Form = new() { Dora = axis } });
        using (no_grad())
            foreach (var parameter in network.Adapters[0].Parameters.Where(parameter => parameter.Name is not "scalar"))
                parameter.Value.add_(Synth.Input($"large.{parameter.Name}", parameter.Length).view([.. parameter.Shape]), alpha: 0.1);
        network.Attach(0.8);
        network.Training = true;
        var outcomes = new List<(Tensor Y, Tensor Dx, Tensor Gradient)>();
        foreach (var fused in new[] { true, false })
        {
            network.ZeroGradients();
            var x = made("large.x", 2, tokens / 2, inner).requires_grad_(true);
            var y = fused ? target.Call(x) : target.Apply(x, network.Adapters[0].Weight(weight, 0.8), bias);
            (y * made("large.probe", 2, tokens / 2, outer)).sum().backward();
            outcomes.Add((y, x.grad!, network.Gradients.clone()));
        }
        Close(outcomes[1].Y, outcomes[0].Y, 2e-5, "y");
        CloseGradient(outcomes[1].Dx, outcomes[0].Dx, "dx");
        CloseGradient(outcomes[1].Gradient, outcomes[0].Gradient, "gradient");
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
    public void Large_blocks_turn_alike_on_one_thread_and_on_two()
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var weight = Synth.Input("turned.w", 640 * 24).view(640, 24);
        var shape = new LayerShape(LayerKind.Linear, 24, 640, (1, 1), (1, 1), (0, 0));
        var layer = new FakeLayer("mid_block.attentions.0.proj_in", shape, () => weight);
        using var network = Create(layer, new() { Family = AdapterFamilies.KohyaOft.Name, Rank = 4 });
        Assert.Contains(network.Adapters[0].Parameters, parameter => parameter.Value.shape is [.., > 1, >= 160, >= 160]);
        network.Values.mul_(0.01);
        var threads = get_num_threads();
        var weights = new List<Tensor>();
        foreach (var count in new[] { 1, 2 })
        {
            set_num_threads(count);
            try { weights.Add(network.Adapters[0].WeightDelta()); }
            finally { set_num_threads(threads); }
        }
        Close(weights[0], weights[1], 1e-6, "two threads");
    }

    [Fact]
    public void Networks_in_one_slot_add_up_and_leave_no_trace()
    {
        using var scope = NewDisposeScope();
        var target = Layer("linear");
        var x = Layers["linear/x"];
        using var one = Create(target, new() { Rank = 2 });
        using var two = Create(target, new() { Rank = 5 });
        ones(1 << 17).add_(1).Dispose();     // products use the chosen number of threads only after a thread's first shared operation
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

    private static void Compare(string name, string layer, JsonElement row, JsonElement facts)
    {
        using var scope = NewDisposeScope();
        var golden = FileOf(name);
        var (prefix, target) = ($"{name}/{layer}/", Layer(layer));
        if (!golden.Names.Any(key => key.StartsWith(prefix))) return;         // the reference stopped on an exception
        using var network = Made(name, row, target, golden, prefix);
        var adapter = network.Adapters[0];
        if (facts.TryGetProperty("scale", out var scale) && scale.ValueKind == JsonValueKind.Number) Assert.Equal(scale.GetDouble(), adapter.Scale, 6);
        network.Training = true;
        foreach (var strength in new[] { 1, 0.6 })
        {
            if (!golden.Names.Contains($"{prefix}out@{strength}")) continue;
            var where = $"{name} {layer} @{strength}";
            // kohya's DyLoRA ignores the strength (L-11).
            var own = name.StartsWith("kohya_dylora") ? 1 : strength;
            network.Attach(own);
            network.ZeroGradients();
            var x = Layers[$"{layer}/x"].requires_grad_(true);
            network.RankSource = RankSource(name, row);
            var y = target.Call(x);
            (y * Layers[$"{layer}/probe"]).sum().backward();
            Close(golden[$"{prefix}out@{strength}"], y, 2e-5, where);
            network.RankSource = RankSource(name, row);
            Close(y, adapter.Forward(x, target.Apply(x, target.Weight, target.Bias), own), 2e-5, where + " behind another adapter");
            if (golden.Names.Contains($"{prefix}delta@{strength}") && network.RankSource is null)
            {
                Close(golden[$"{prefix}delta@{strength}"], adapter.Weight(target.Weight, own) - target.Weight, 2e-5, where + " delta");
                using (no_grad())
                {
                    network.Training = false;
                    Close(y, target.Call(x), 2e-5, where + " in one weight");
                    network.Training = true;
                }
            }
            if (golden.Names.Contains($"{prefix}delta_b@{strength}")) Close(golden[$"{prefix}delta_b@{strength}"], adapter.Bias(target.Bias, own)! - target.Bias!, 2e-5, where + " bias");
            CloseGradient(golden[$"{prefix}grad@{strength}/x"], x.grad!, where + " x");
            foreach (var parameter in adapter.Parameters)
            {
                var gradient = GoldenOf(golden, $"{prefix}grad@{strength}/", parameter);
                if (gradient is not null) CloseGradient(gradient, parameter.Value.grad!, $"{where} {parameter.Name}");
                else Assert.True(parameter.IsFrozen || network.RankSource is not null && parameter.Value.grad!.abs().max().item<float>() == 0, $"{where}: no recorded gradient of {parameter.Name}");
            }
        }
        var saved = adapter.Saved().ToDictionary(pair => pair.Key, pair => pair.Value);
        Assert.Equal(golden.Names.Where(key => key.StartsWith(prefix + "saved/")).Select(key => key[(prefix.Length + 6)..]).Order(), saved.Keys.Order());
        foreach (var (part, value) in saved)
        {
            Assert.Equal(golden[$"{prefix}saved/{part}"].shape, value.shape);
            Close(golden[$"{prefix}saved/{part}"].to_type(ScalarType.Float32), value.to_type(ScalarType.Float32), 1e-6, $"{name} {layer} {part}");
        }
    }

    // The case's own arguments, read as kohya's command line has them; its tensors as they were before they were saved.
    private static Network Made(string name, JsonElement row, FakeLayer target, GoldenTensors golden, string prefix)
    {
        var options = OptionsOf(name, row);
        if (golden.Names.Contains(prefix + "saved/on_input")) options = options with { Form = options.Form with { OnInput = golden[prefix + "saved/on_input"].item<long>() != 0 } };
        var site = new AdapterSite(NetworkPart.UNet, target);
        var (family, numbers) = options.AdapterAt(site, new() { UNetNames = [target.Key] })!.Value;
        var network = Network.Of(family, family.Create(site, numbers), null);
        foreach (var parameter in network.Adapters[0].Parameters)
            if ((GoldenOf(golden, prefix + "param/", parameter) ?? GoldenOf(golden, prefix + "saved/", parameter)) is { } value) parameter.Value.copy_(value);
            else parameter.Value.fill_(1);
        return network;
    }

    // kohya's DyLoRA keeps every rank as a tensor; ours are pieces of those that are trained together.
    private static Tensor? GoldenOf(GoldenTensors golden, string prefix, AdapterParameter parameter)
    {
        if (parameter.Name.Split('.') is not [("lora_A" or "lora_B") and var half, var number])
            return golden.Names.Contains(prefix + parameter.Name) ? golden[prefix + parameter.Name].view([.. parameter.Shape]) : null;
        var piece = (int)(half == "lora_A" ? parameter.Shape[0] : parameter.Shape[1]);
        var keys = Enumerable.Range(int.Parse(number) * piece, piece).Select(i => $"{prefix}{half}.{i}").ToList();
        return keys.All(golden.Names.Contains) ? cat([.. keys.Select(key => golden[key])], half == "lora_A" ? 0 : 1).view([.. parameter.Shape]) : null;
    }

    private static NetworkOptions OptionsOf(string name, JsonElement row)
    {
        if (name == "norm") return new() { Family = "norm" };
        var module = row.TryGetProperty("module", out var kind) ? $"networks.{kind.GetString()}" : "lycoris.kohya";
        string number(string key) => row.GetProperty(key).GetRawText();
        List<string> words = row.TryGetProperty("args", out var args) ? [.. args.EnumerateObject().Select(pair => $"{pair.Name}={pair.Value.GetString()}")]
            : module == "networks.oft" ? ["enable_conv=True"] : [$"conv_dim={number("dim")}", $"conv_alpha={number("alpha")}"];
        if (row.TryGetProperty("extra", out var extra) && extra.TryGetProperty("unit", out var unit)) words.Add($"unit={unit}");
        var (dim, alpha) = row.TryGetProperty("dim", out _) ? (number("dim"), number("alpha")) : (number("network_dim"), number("network_alpha"));
        var (settings, problems) = KohyaArguments.Read(["--network_module", module, "--network_dim", dim, "--network_alpha", alpha, "--network_args", .. words], KohyaArguments.Trainer, File.ReadAllText);
        Assert.DoesNotContain(problems.All, problem => problem.Where.Contains("network"));
        return settings.Network.ToOptions(wholeAlpha: false, Compat.Kohya with { UntrainedGradientsGrow = false });
    }

    // A generator whose next draw is the recorded one.
    private static PythonRandom? RankSource(string name, JsonElement row)
    {
        var (draw, count) = name.StartsWith("dylora_b") ? (name[^1] - '0', 2) : row.TryGetProperty("extra", out var extra) && extra.TryGetProperty("draw", out var drawn) ? (drawn.GetInt32(), row.GetProperty("dim").GetInt32()) : (-1, 1);
        return draw < 0 ? null : Enumerable.Range(0, 1000).Where(seed => new PythonRandom(seed).Below(count) == draw).Select(seed => new PythonRandom(seed)).First();
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

    internal static FakeLayer Layer(string layer)
    {
        var weight = Layers[$"{layer}/weight"].DetachFromDisposeScope();
        return new(layer, layer switch
        {
            "layernorm" => LayerShape.OfNorm(LayerKind.LayerNorm, weight.shape[0]),
            "groupnorm" => LayerShape.OfNorm(LayerKind.GroupNorm, weight.shape[0]),
            _ => FakeLayer.ShapeOf(weight.shape, stride: layer == "conv3x3s2" ? 2 : 1, padding: layer.StartsWith("conv3x3") ? 1 : 0),
        }, () => weight, Layers[$"{layer}/bias"].DetachFromDisposeScope());
    }

    private static Network Create(FakeLayer layer, NetworkOptions options)
    {
        var family = AdapterFamilies.Named(options.Family);
        var site = new AdapterSite(NetworkPart.UNet, layer);
        var network = Network.Of(family, family.Create(site, options.AdapterAt(site, new() { UNetNames = [layer.Key] })!.Value.Numbers), null);
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
