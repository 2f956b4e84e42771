using Levain.Core;
using Levain.Formats;
using Levain.Models;
using Levain.Networks;
using Levain.Tests.Data;
using Levain.Tests.Training.Replays;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Networks;

public sealed class NetworkFileTests(ITestOutputHelper output)
{
    private const int SampledFrom = 2048;       // larger recorded tensors hold every 7th row

    [Fact]
    public void Every_layer_is_known_under_all_its_names()
    {
        var names = Golden.Json("lora-tools", "names_sd15.json");
        var column = names.GetProperty("columns").EnumerateArray().Select((name, i) => (name.GetString()!, i)).ToDictionary(pair => pair.Item1, pair => pair.i);
        var seen = new HashSet<string>();
        foreach (var row in names.GetProperty("rows").EnumerateArray())
        {
            string? text(string name) => row[column[name]].GetString();
            var part = text("diffusers") is null ? NetworkPart.TextEncoder : NetworkPart.UNet;
            var spellings = LayerNames.All(part, text("diffusers") ?? text("hf")!).ToHashSet();
            Assert.Equal(text("kohya"), LayerNames.Kohya(part, text("diffusers") ?? text("hf")!));
            foreach (var key in new[] { text("kohya"), text("kohya_diffusers"), text("omi") }.OfType<string>()) Assert.Contains(key, spellings);
            foreach (var key in new[] { text("peft"), text("diffusers_old") }.OfType<string>())
            {
                var split = LayerNames.Split(key);
                Assert.Equal("lora_down.weight", split?.Part);
                Assert.Contains(split!.Value.Module, spellings);
            }
            if (part == NetworkPart.UNet) Assert.Equal(text("ldm"), "model.diffusion_model." + LayerNames.Ldm(text("diffusers")!));
            foreach (var spelling in spellings) Assert.True(seen.Add(spelling), spelling);
        }
    }

    [Fact]
    public void Files_mean_what_they_were_trained_to_mean()
    {
        using var scope = NewDisposeScope();
        var golden = new GoldenTensors("networks", "files_expected.safetensors");
        var layers = Tiny();
        var loaded = new List<string>();
        foreach (var row in Golden.Json("networks", "files_expected.json").EnumerateObject())
        {
            using var file = TensorFile.Open(Golden.Path("networks", $"file_{row.Name}.safetensors"));
            using (var network = Network.Load(file, layers))
            {
                Assert.Empty(network.Notes);
                Assert.Equal(row.Value.GetProperty("modules").GetInt32(), network.Adapters.Count);
                foreach (var layer in row.Value.GetProperty("layers").EnumerateObject())
                {
                    var adapter = network.Adapters.Single(adapter => adapter.Name == layer.Name);
                    foreach (var strength in new[] { 1, 0.6 })
                        if (golden.Names.Contains($"{row.Name}/{layer.Name}/delta@{strength}"))
                            Near(golden[$"{row.Name}/{layer.Name}/delta@{strength}"], Delta(adapter, strength), $"{row.Name} {layer.Name} @{strength}");
                    foreach (var strength in new[] { 1, 0.6 })
                        if (golden.Names.Contains($"{row.Name}/{layer.Name}/delta_b@{strength}"))
                            Near(golden[$"{row.Name}/{layer.Name}/delta_b@{strength}"], adapter.Bias(adapter.Site.Layer.Bias, strength)! - adapter.Site.Layer.Bias!, $"{row.Name} {layer.Name} bias @{strength}");
                    var norm = layer.Value.GetProperty("norms").GetProperty("delta@1").GetDouble();
                    Assert.Equal(norm, Delta(adapter, 1).norm().ToDouble(), 1e-5 * norm);
                }
                var saved = network.Tensors(ScalarType.Float16).ToDictionary(pair => pair.Key, pair => pair.Value);
                Assert.Equal(file.Entries.Keys.Order(), saved.Keys.Order());
                foreach (var key in saved.Keys) Assert.True(file.Load(key).flatten().equal(saved[key].flatten()).all().item<bool>(), key);
            }
            loaded.Add(row.Name);
        }
        output.WriteLine($"{loaded.Count} loaded: {string.Join(", ", loaded)}; none refused.");
        Assert.Contains("kohya_lora", loaded);
        Assert.Contains("kohya_c3lier", loaded);
    }

    [Fact]
    public void Merging_gives_kohyas_weights_and_detaching_the_old_bits()
    {
        using var scope = NewDisposeScope();
        var golden = new GoldenTensors("networks", "merge_expected.safetensors");
        var layers = Tiny();
        var originals = layers.Sites.ToDictionary(site => site.Layer.Key + ".weight", site => site.Layer.Weight.clone());
        foreach (var row in Golden.Json("networks", "merge_expected.json").EnumerateObject())
        {
            using var file = TensorFile.Open(Golden.Path("networks", row.Value.GetProperty("file").GetString()!));
            using var network = Network.Load(file, layers);
            network.Merge(row.Value.GetProperty("ratio").GetDouble());
            var expected = row.Value.GetProperty("delta_norm").EnumerateObject().ToDictionary(pair => pair.Name, pair => pair.Value.GetDouble());
            foreach (var site in layers.Sites)
            {
                var key = site.Layer.Key + ".weight";
                var norm = (site.Layer.Weight - originals[key]).norm().ToDouble();
                Assert.Equal(expected.GetValueOrDefault(key), norm, 1e-4);
                if (golden.Names.Contains($"{row.Name}/{key}")) Assert.InRange(Off(golden[$"{row.Name}/{key}"], site.Layer.Weight), 0, 1e-5);
            }
            network.Detach();
            foreach (var site in layers.Sites) Assert.True(site.Layer.Patch is null && site.Layer.Weight.equal(originals[site.Layer.Key + ".weight"]).all().item<bool>());
        }
    }

    [Fact]
    public void Every_programs_spelling_loads_to_the_same_deltas()
    {
        using var scope = NewDisposeScope();
        var layers = Tiny();
        var (loaded, refused) = (new List<string>(), new List<string>());
        Dictionary<string, Tensor>? reference = null;
        foreach (var row in Golden.Json("lora-tools", "variants.json").EnumerateObject().OrderByDescending(row => row.Name.EndsWith("_kohya")))
        {
            using var file = TensorFile.Open(Golden.Path("lora-tools", $"variant_{row.Name}.safetensors"));
            if (!row.Name.StartsWith("lora_a"))
            {
                Assert.Contains("SDXL", Assert.Throws<CheckpointException>(() => Network.Load(file, layers)).Message);
                refused.Add(row.Name);
                continue;
            }
            using var network = Network.Load(file, layers);
            var deltas = network.Adapters.ToDictionary(adapter => adapter.Name, adapter => adapter.WeightDelta());
            reference ??= deltas;
            var absent = row.Value.GetProperty("absent_modules").EnumerateArray().Select(name => name.GetString()!);
            Assert.Equal(reference.Keys.Except(absent).Order(), deltas.Keys.Order());
            foreach (var (name, delta) in deltas) Assert.InRange((delta - reference[name]).norm().ToDouble(), 0, 1e-3 * reference[name].norm().ToDouble());
            Assert.Equal(row.Name.EndsWith("bundle"), network.Notes.Any(note => note.Contains("cat, dog")));
            loaded.Add(row.Name);
        }
        output.WriteLine($"{loaded.Count} loaded: {string.Join(", ", loaded)}; {refused.Count} refused: {string.Join(", ", refused)}");
    }

    [Fact]
    public void What_does_not_fit_is_told_with_the_nearest_layer()
    {
        using var scope = NewDisposeScope();
        var layers = Tiny();
        using var folder = new TemporaryFolder();
        string write(params (string Key, long[] Shape)[] tensors)
        {
            var path = Path.Combine(folder.Path, "some.safetensors");
            Safetensors.Write(path, [.. tensors.Select(tensor => new KeyValuePair<string, Tensor>(tensor.Key, ones(tensor.Shape)))], null);
            return path;
        }
        string refusal(string path) { using var file = TensorFile.Open(path); return Assert.Throws<CheckpointException>(() => Network.Load(file, layers)).Message; }

        const string Good = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q";
        Assert.Contains("not a network file", refusal(write(("conv_in.weight", [1]))));
        var misspelt = write(("lora_unet_mid_block_attention_0_proj_in.lora_down.weight", [2, 64]), ("lora_unet_mid_block_attention_0_proj_in.lora_up.weight", [64, 2]));
        Assert.Contains("nearest: 'lora_unet_mid_block_attentions_0_proj_in'", refusal(misspelt));
        Assert.Contains("asks for [2, 64]", refusal(write((Good + ".lora_down.weight", [2, 128]), (Good + ".lora_up.weight", [64, 2]))));
        Assert.Contains("make no adapter", refusal(write((Good + ".lora_down.weight", [2, 64]))));

        using var partial = TensorFile.Open(write((Good + ".lora_down.weight", [2, 64]), (Good + ".lora_up.weight", [64, 2]),
            ("lora_unet_mid_block_attention_0_proj_in.lora_down.weight", [2, 64]), ("extra", [1])));
        using var network = Network.Load(partial, layers);
        Assert.Equal((1, 1.0), (network.Adapters.Count, network.Adapters[0].Scale));        // no alpha: the rank
        Assert.Contains("1 layer of the file is not in this base", network.Notes[0]);
        Assert.Contains("'extra'", network.Notes[1]);
    }

    [Fact]
    public void Saved_networks_come_back_the_same()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var made = Network.Create(new() { Rank = 3, Alpha = 1.5, ConvRank = 2 }, Tiny(), new Generator(5));
        var path = Path.Combine(folder.Path, "made.safetensors");
        Safetensors.Write(path, made.Tensors(), null);
        using var file = TensorFile.Open(path);
        using var read = Network.Load(file, Tiny());
        Assert.Equal(made.Adapters.Select(adapter => (adapter.Name, adapter.Numbers)), read.Adapters.Select(adapter => (adapter.Name, adapter.Numbers)));
        Assert.True(made.Values.equal(read.Values).all().item<bool>());
    }

    [Fact]
    public void An_alpha_that_kohya_was_never_given_is_an_integer_in_its_file()
    {
        using var scope = NewDisposeScope();
        using var file = TensorFile.Open(Golden.Path("training", "lora_adamw.lora.safetensors"));
        foreach (var whole in new[] { false, true })
        {
            using var network = Network.Create(new() { Rank = 4, Alpha = 2, WholeAlpha = whole }, InitialValueTests.TinyLayers("s00"), new Generator(1));
            var saved = network.Tensors();
            Assert.Equal(file.Entries.Keys.Order(StringComparer.Ordinal), saved.Select(pair => pair.Key).Order(StringComparer.Ordinal));
            Assert.Equal(whole ? ScalarType.Int64 : ScalarType.Float32, saved.First(pair => pair.Key.EndsWith("alpha")).Value.dtype);
            foreach (var (key, value) in saved) Assert.Equal(file.Entries[key].Shape, value.shape);
        }
    }

    private static Tensor Delta(Adapter adapter, double strength)
    {
        var weight = adapter.Site.Layer.Weight;
        return adapter.Weight(weight, strength) - weight;
    }

    private static void Near(Tensor expected, Tensor actual, string where)
    {
        var off = Off(expected, actual);
        Assert.True(off <= 1e-5, $"{where}: {off}");
    }

    private static double Off(Tensor expected, Tensor actual)
    {
        if (actual.numel() > SampledFrom) actual = actual.index(TensorIndex.Slice(0, null, 7));
        return (expected - actual).abs().max().ToDouble();
    }

    // The tiny SD1, whole: every layer that any program adapts.
    private static readonly Lazy<StableDiffusion> Model = new(() => StableDiffusion.Open(TinyModel.Of("tiny_sd1"), Compute.Cpu));

    private static ModelLayers Tiny() => new(Model.Value.TextEncoder.AdaptableLayers, Model.Value.UNet.AdaptableLayers);
}
