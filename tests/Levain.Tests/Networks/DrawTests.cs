using Levain.Formats;
using Levain.Models;
using Levain.Networks;
using Levain.Tests.Data;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Networks;

/// <summary>How many random numbers adapters draw, and in which order: as many as the reference, or every later number is another.</summary>
public sealed class DrawTests
{
    private const string Key = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q";
    private const int Out = 12, In = 8, Rank = 3, Batch = 2;
    private const long Seed = 17;

    public static TheoryData<string, string, int> Passes => new()
    {
        { "lora", "module=0", 1 },
        { "lora", "rank=0", Batch * Rank },
        { "lora", "", 0 },
        { "lora_fa", "module=0 rank=0", 1 + Batch * Rank },
        { "locon", "module=0 rank=0", 0 },
        { "locon", "rank=0.5", Out },
        { "locon", "rank=0.5 bypass", Rank },
        { "loha", "rank=0.5", Out },
        { "loha", "rank=0.5 bypass", Out },
        { "lokr", "rank=0.5", Out },
        { "lokr", "rank=0.5 bypass", 0 },
        { "glora", "rank=0.5", 0 },
        { "glora", "rank=0.5 bypass", 2 * Rank },
        { "norm", "rank=0.5", 2 * Out },
    };

    [Theory]
    [MemberData(nameof(Passes))]
    public void A_training_pass_draws_as_many_numbers_as_the_reference(string family, string dropouts, int count)
    {
        using var scope = NewDisposeScope();
        var (network, layer) = Made(family, dropouts);
        using var owner = network;
        using var generator = new Generator(Seed);
        network.Attach();
        network.Training = true;
        network.DropoutSource = generator;
        layer.Call(ones(Batch, layer.Shape.In));
        Assert.Equal(count, Drawn(generator));
    }

    [Theory]
    [InlineData("locon", Out)]
    [InlineData("loha", Out)]
    [InlineData("lokr", Out)]
    [InlineData("diag-oft", 0)]
    public void A_limit_of_norms_looks_at_the_rows_that_LyCORIS_draws(string family, int count)
    {
        using var scope = NewDisposeScope();
        var (network, _) = Made(family, "rank=0.5");
        using var owner = network;
        using var generator = new Generator(Seed);
        var adapter = network.Adapters[0];
        var whole = adapter.WeightDelta();
        network.Training = true;
        network.DropoutSource = generator;
        var measured = adapter.LimitedNorm()!.Value;
        Assert.Equal(count, Drawn(generator));
        if (count == 0) return;
        var kept = rand(Out, generator: new Generator(Seed)).gt(0.5).to_type(ScalarType.Float32).unsqueeze(1);
        Assert.Equal(whole.mul(kept).norm().item<float>(), measured, 1e-5);
        Assert.NotEqual(whole.norm().item<float>(), measured, 1e-3);
    }

    [Fact]
    public void A_normalisation_that_drops_out_drops_its_bias_too()
    {
        using var scope = NewDisposeScope();
        var (network, layer) = Made("norm", "rank=0.5");
        using var owner = network;
        network.Attach();
        network.Training = true;
        network.DropoutSource = new Generator(Seed);
        var x = randn(Batch, Out, generator: new Generator(3));
        var kept = rand(2 * Out, generator: new Generator(Seed)).narrow(0, Out, Out).lt(0.5).to_type(ScalarType.Float32);       // L-05: the other share, of the second draw
        var (weight, bias) = (network.Adapters[0].WeightDelta().mul(kept), network.Adapters[0].BiasDelta()!.mul(kept));
        var expected = layer.Apply(x, layer.Weight.add(weight), layer.Bias!.add(bias));
        Assert.True((expected - layer.Call(x)).abs().max().item<float>() < 1e-5);
    }

    [Fact]
    public void GLoRA_with_a_scalar_draws_both_first_halves_before_the_second_ones()
    {
        using var scope = NewDisposeScope();
        using var network = Network.Of(AdapterFamilies.Glora, new Glora(Site(), new(Rank, 1) { Form = new() { Scalar = true } }), null);
        network.Adapters[0].Initialize(new Generator(Seed));
        using var generator = new Generator(Seed);
        _ = rand(3 * In * Rank + Out * Rank, generator: generator);
        foreach (var name in new[] { "a1", "b1", "a2", "b2" })
        {
            var values = network.Adapters[0].Parameters.Single(parameter => parameter.Name == $"{name}.weight").Value;
            var expected = empty(values.shape);
            Initial.KaimingUniform(expected, generator);
            Assert.Equal(expected.data<float>(), values.data<float>());
        }
    }

    [Theory]
    [InlineData("diag-oft", 0, 0)]
    [InlineData("boft", 0.5, 0.5)]
    [InlineData("lora", 0, 0)]
    public void A_network_that_begins_with_a_file_saves_the_files_alpha_as_it_is(string family, double alpha, double saved)
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        var (network, layer) = Made(family, "");
        using var owner = network;
        var path = Path.Combine(folder.Path, "begun.safetensors");
        Safetensors.Write(path, [.. network.Tensors().Where(pair => !pair.Key.EndsWith(".alpha")), new($"{network.Adapters[0].Name}.alpha", tensor((float)alpha))], null);
        using var file = TensorFile.Open(path);
        Assert.Empty(network.Fill(file, new([], [layer]), keepScale: true));
        Assert.Equal(saved, network.Tensors().Single(pair => pair.Key.EndsWith(".alpha")).Value.item<float>());
    }

    [Fact]
    public void kohya_measures_norms_by_the_alpha_that_it_saves()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        var (network, layer) = Made("lora", "");
        using var owner = network;
        var before = network.Adapters[0].Norm()!.Value;
        var path = Path.Combine(folder.Path, "begun.safetensors");
        Safetensors.Write(path, [.. network.Tensors().Where(pair => !pair.Key.EndsWith(".alpha")), new($"{network.Adapters[0].Name}.alpha", tensor(4f))], null);
        using var file = TensorFile.Open(path);
        network.Fill(file, new([], [layer]), keepScale: true);
        Assert.Equal(4 * before, network.Adapters[0].Norm()!.Value, 1e-5);       // it was 1
    }

    [Theory]
    [InlineData(2_000_000_000)]
    [InlineData(10_000_000_000_000)]
    public void A_rank_beyond_every_side_makes_LoKrs_factors_whole(long rank)
    {
        using var scope = NewDisposeScope();
        var adapter = new LoKr(Site(), new(rank, 1) { Form = new() { DecomposeBoth = true } });
        Assert.Equal(["lokr_w1", "lokr_w2", "scalar"], adapter.Parameters.Select(parameter => parameter.Name));
        Assert.Equal((1, rank), (adapter.Scale, adapter.Numbers.Alpha));
    }

    // LyCORIS hashes tensors in this order.
    [Theory]
    [InlineData("locon", "dora_scale alpha lora_up.weight lora_down.weight")]
    [InlineData("loha", "alpha dora_scale hada_w1_a hada_w1_b hada_w2_a hada_w2_b hada_t1 hada_t2")]
    [InlineData("lokr", "alpha dora_scale lokr_w1_a lokr_w1_b lokr_w2_a lokr_w2_b lokr_t2")]
    [InlineData("glora", "alpha a1.weight a2.weight b1.weight b2.weight")]
    [InlineData("diag-oft", "oft_blocks rescale alpha")]
    public void Tensors_come_in_the_order_of_LyCORIS_modules(string name, string order)
    {
        using var scope = NewDisposeScope();
        var weight = randn([64, 64, 3, 3]);
        var layer = new FakeLayer("mid_block.resnets.0.conv1", FakeLayer.ShapeOf([64, 64, 3, 3], padding: 1), () => weight);
        var form = new AdapterForm { Dora = DoraAxis.Output, Tucker = name != "locon", DecomposeBoth = true, Rescaled = true };
        var family = AdapterFamilies.Named(name);
        using var network = Network.Of(family, family.Create(new(NetworkPart.UNet, layer), new(2, 1) { Form = form }), null);
        Assert.Equal(order.Split(' '), network.Adapters[0].Saved().Select(pair => pair.Key));
    }

    [Fact]
    public void A_rank_that_no_memory_holds_is_told()
    {
        using var scope = NewDisposeScope();
        var problem = Assert.Throws<Levain.Core.SettingsException>(() => Network.Create(new() { Rank = 1_000_000_000 }, new([], [Layer()]), new Generator(1)));
        Assert.Contains("network.rank: is 1000000000, which makes 2.0e10 numbers", problem.Message);
    }

    [Fact]
    public void Bypass_mode_saves_DoRAs_magnitudes_as_they_began()
    {
        using var scope = NewDisposeScope();
        var layer = Layer();
        using var network = Network.Of(AdapterFamilies.LoCon, new LoCon(new(NetworkPart.UNet, layer), new(Rank, 1) { Form = new() { AsLycoris = true, Bypass = true, Dora = DoraAxis.Output } }), null);
        network.Adapters[0].Initialize(new Generator(5));
        network.Attach();
        network.Training = true;
        var x = ones(Batch, In);
        Assert.True((layer.Call(x) - layer.Apply(x, layer.Weight, layer.Bias)).abs().max().item<float>() < 1e-6);
        Assert.Equal(layer.Weight.norm(1, keepdim: true).data<float>(), network.Tensors().Single(pair => pair.Key.EndsWith(".dora_scale")).Value.data<float>());
        Assert.Equal(["unet"], network.Groups(1, 1).Select(group => group.Name));
        Assert.Equal(Rank * (In + Out), network.Groups(1, 1)[0].Length);
    }

    [Theory]
    [InlineData(320, 0, 1, 320)]
    [InlineData(320, -2, 16, 20)]
    [InlineData(320, -1, 16, 20)]
    [InlineData(320, 7, 5, 64)]
    public void A_factor_splits_a_side_as_LyCORIS_splits_it(long side, long factor, long small, long large) => Assert.Equal((small, large), LoKr.Factorization(side, factor));

    private static int Drawn(Generator generator)
    {
        var next = rand(1, generator: generator).item<float>();
        return rand(1000, generator: new Generator(Seed)).data<float>().ToArray().IndexOf(next);
    }

    private static AdapterSite Site() => new(NetworkPart.UNet, Layer());

    private static FakeLayer Layer()
    {
        var weight = randn([Out, In], generator: new Generator(3)).DetachFromDisposeScope();
        return new(Key, FakeLayer.ShapeOf([Out, In]), () => weight, zeros(Out).DetachFromDisposeScope());
    }

    private static (Network Network, FakeLayer Layer) Made(string name, string dropouts)
    {
        var family = AdapterFamilies.Named(name);
        double? share(string kind) => dropouts.Split(' ').FirstOrDefault(word => word.StartsWith(kind + "=")) is { } word
            ? double.Parse(word[(kind.Length + 1)..], System.Globalization.CultureInfo.InvariantCulture) : null;
        var layer = name == "norm"
            ? new FakeLayer("mid_block.attentions.0.transformer_blocks.0.norm1", LayerShape.OfNorm(LayerKind.LayerNorm, Out), () => ones(Out).DetachFromDisposeScope(), zeros(Out).DetachFromDisposeScope())
            : Layer();
        var numbers = new AdapterNumbers(name == "boft" ? Out : Rank, 1)
        {
            Form = new() { AsLycoris = true, Bypass = dropouts.EndsWith("bypass") },
            RankDropout = share("rank"),
            ModuleDropout = share("module"),
        };
        var network = Network.Of(family, family.Create(new(NetworkPart.UNet, layer), numbers), null);
        network.Adapters[0].Initialize(new Generator(5));
        foreach (var parameter in network.Adapters[0].Parameters) if (parameter.Name != "scalar") parameter.Value.add_(randn(parameter.Value.shape, generator: new Generator(7)).mul_(0.3));
        return (network, layer);
    }
}
