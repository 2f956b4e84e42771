using Levain.Core;
using Levain.Formats;
using Levain.Networks;
using Levain.Tests.Data;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Networks;

/// <summary>Networks that begin with a file.</summary>
public sealed class StartTests
{
    private const string Query = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q";
    private const string Key = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_k";
    private const string Text = "lora_te_text_model_encoder_layers_0_mlp_fc1";
    private static readonly long[] Square = [8, 8];

    private static ModelLayers Layers() => FakeLayer.Model([Text, Query, Key], _ => Square, synth: true);

    // The file of a network of rank 4 and alpha 2 on the query and the text encoder, filled with ones.
    private static string File(TemporaryFolder folder)
    {
        using var scope = NewDisposeScope();
        var tensors = new List<KeyValuePair<string, Tensor>>();
        foreach (var name in new[] { Text, Query })
            tensors.AddRange([new($"{name}.alpha", tensor(2f)), new($"{name}.lora_down.weight", ones(4, 8)), new($"{name}.lora_up.weight", ones(8, 4))]);
        var path = Path.Combine(folder.Path, "begun.safetensors");
        Safetensors.Write(path, tensors, null);
        return path;
    }

    private static float Alpha(Network network, string name) => network.Tensors().Single(pair => pair.Key == $"{name}.alpha").Value.to(ScalarType.Float32).item<float>();

    public static TheoryData<bool> Scales => [true, false];

    [Theory, MemberData(nameof(Scales))]
    public void A_warm_start_takes_values_and_alpha_of_the_file(bool keepScale)
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var file = TensorFile.Open(File(folder));
        using var generator = new Generator(1, CPU);
        var layers = Layers();
        using var network = Network.Create(new() { Rank = 4, Alpha = 4 }, layers, generator);
        var notes = network.Fill(file, layers, keepScale);

        Assert.Equal("1 of 3 adapters are not in begun.safetensors and begin anew.", Assert.Single(notes));
        var query = network.Adapters.Single(adapter => adapter.Name == Query);
        Assert.Equal(keepScale ? 1 : 0.5, query.Scale);
        Assert.Equal(2, Alpha(network, Query));
        Assert.Equal(4, Alpha(network, Key));
        Assert.Equal(keepScale ? 4 : 2, query.WeightDelta()[0, 0].item<float>());
        Assert.Equal(0, network.Adapters.Single(adapter => adapter.Name == Key).WeightDelta().abs().max().item<float>());
    }

    [Fact]
    public void Another_rank_is_refused_with_the_way_out()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var file = TensorFile.Open(File(folder));
        using var generator = new Generator(1, CPU);
        var layers = Layers();
        using var network = Network.Create(new() { Rank = 3 }, layers, generator);
        Assert.Contains("network.rank_from_weights = true", Assert.Throws<CheckpointException>(() => network.Fill(file, layers, keepScale: false)).Message);
    }

    [Fact]
    public void Ranks_of_a_file_make_the_network_of_the_trained_part()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var file = TensorFile.Open(File(folder));
        using var generator = new Generator(1, CPU);
        using var network = Network.Load(file, Layers(), new() { TrainTextEncoder = false, Dropout = 0.25, LoraPlusRatio = 4 }, generator);
        var adapter = Assert.Single(network.Adapters);
        Assert.Equal((Query, 4, 2.0, 0.25), (adapter.Name, adapter.Numbers.Rank, adapter.Numbers.Alpha, adapter.Numbers.Dropout));
        Assert.Equal(["unet", "unet plus"], network.Groups(1, 1).Select(group => group.Name));
        Assert.Equal(1, network.Values.min().item<float>());

        // kohya makes both adapters before it drops the one that is not trained: 64 default and 32 real numbers for each.
        using var other = new Generator(1, CPU);
        _ = rand(2 * 96, generator: other);
        Assert.Equal(rand(1, generator: other).item<float>(), rand(1, generator: generator).item<float>());
    }

    [Fact]
    public void A_networks_rates_by_block_hold_for_the_ranks_of_a_file()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var file = TensorFile.Open(File(folder));
        using var generator = new Generator(1, CPU);
        using var network = Network.Load(file, Layers(), new() { Family = "lora_fa", BlockRates = new() { Down = "zeros" }, Form = new() { FrozenGradients = true } }, generator);
        Assert.Equal([Text, Query], network.Adapters.Select(adapter => adapter.Name));
        Assert.Equal(["textencoder"], network.Groups(1, 1).Select(group => group.Name));
        // LoRA-FA's frozen halves have gradients that nobody clears.
        Assert.All(network.Adapters, adapter => Assert.True(adapter is LoraFa && adapter.Parameters[0].IsIdle));
    }

    [Fact]
    public void A_group_of_rate_0_is_left_out_but_for_kohyas_LoRA_FA()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1, CPU);
        using var plain = Network.Create(new() { Rank = 2 }, Layers(), generator);
        using var fa = Network.Create(new() { Rank = 2, Family = "lora_fa", Form = new() { FrozenGradients = true } }, Layers(), generator);
        Assert.Equal(["unet"], plain.Groups(0, 1).Select(group => group.Name));
        Assert.Equal(["textencoder", "unet"], fa.Groups(0, 1).Select(group => group.Name));
    }

    [Theory]
    [InlineData(0.0, null, new[] { "textencoder", "unet" })]
    [InlineData(0.0, 4.0, new[] { "textencoder", "unet", "unet plus" })]
    [InlineData(2.0, 0.0, new[] { "textencoder", "textencoder plus", "unet", "unet plus" })]
    public void A_LoRA_plus_ratio_of_0_leaves_the_up_halves_without_a_rate(double ratio, double? unet, string[] groups)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1, CPU);
        using var network = Network.Create(new() { Rank = 2, LoraPlusRatio = ratio, LoraPlusUNetRatio = unet }, Layers(), generator);
        Assert.Equal(groups, network.Groups(1, 1).Select(group => group.Name));
        Assert.Equal(ratio == 0 && unet is null ? 3 * 2 * 8 : ratio == 0 ? 3 * 2 * 8 + 2 * 2 * 8 : 3 * 4 * 8, network.Groups(1, 1).Sum(group => group.Length));
    }

    [Fact]
    public void Grown_targets_reach_resnets_without_a_convolution_rank()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1, CPU);
        const string time = "lora_unet_down_blocks_0_resnets_0_time_emb_proj", convolution = "lora_unet_down_blocks_0_resnets_0_conv1";
        ModelLayers layers() => FakeLayer.Model([Query, time, convolution]);
        using var plain = Network.Create(new() { Rank = 2 }, layers(), generator);
        using var grown = Network.Create(new() { Rank = 2, GrownTargets = true }, layers(), generator);
        Assert.Equal([Query], plain.Adapters.Select(adapter => adapter.Name));
        Assert.Equal([Query, time], grown.Adapters.Select(adapter => adapter.Name));
    }
}
