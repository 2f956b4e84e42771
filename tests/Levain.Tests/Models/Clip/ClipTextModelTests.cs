using Levain.Core;
using Levain.Diffusion;
using Levain.Models;
using Levain.Models.Clip;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Models.Clip;

public sealed class ClipTextModelTests(ITestOutputHelper output)
{
    private const double Exact = 2e-5, ExactAtRealSize = 1e-4, OfLargestGradient = 1e-4;      // tests/golden/text-encoder/README.md

    public static TheoryData<string> Files =>
        [.. Directory.GetFiles(Golden.Path("text-encoder"), "clip_*_tiny.safetensors").Select(file => Path.GetFileNameWithoutExtension(file)!)];

    [Theory, MemberData(nameof(Files))]
    public void Hidden_states_clip_skip_and_gradients_are_the_reference_s(string file)
    {
        using var scope = NewDisposeScope();
        var golden = new GoldenTensors("text-encoder", $"{file}.safetensors");
        if (Open(file) is not { } model) return;
        using var owned = model;

        var ids = golden["input_ids"];
        foreach (var name in golden.Names)
        {
            Tensor? found = name.Split('.') switch
            {
                ["hidden_states", var layer] => model.HiddenState(model.Embed(ids), int.Parse(layer)),
                ["last_hidden_state"] or ["clip_skip", "none"] => model.call(ids, 1),
                ["clip_skip", var skip] => model.call(ids, int.Parse(skip)),
                _ => null,
            };
            if (found is not null) Near(golden[name], found, Exact, name);
        }

        var gradients = golden.Names.Where(name => name.StartsWith("grad.")).ToList();
        var weights = model.named_parameters().ToDictionary(entry => entry.name, entry => entry.parameter);
        foreach (var weight in weights.Values) weight.requires_grad = true;
        var states = model.call(ids.narrow(0, 0, 2), 1);
        (states * Synth.Input($"probe.{file.Replace('_', '-')}", states.shape)).sum().backward();
        foreach (var name in gradients)
        {
            var expected = golden[name];
            Near(expected, weights[name["grad.".Length..]].grad!, OfLargestGradient * expected.abs().max().item<float>(), name);
        }
        output.WriteLine($"{file}: {golden.Names.Count - gradients.Count - 1} states, {gradients.Count} gradients");
    }

    [Fact]
    public void Long_and_weighted_captions_are_put_together_as_kohya_does()
    {
        using var scope = NewDisposeScope();
        var golden = new GoldenTensors("text-encoder", "windows.safetensors");
        using var model = Open("clip_l_tiny")!;
        var batch = golden.Json("batch").EnumerateArray().Select(text => text.GetString()!).ToList();
        var (run, refused) = (0, 0);
        foreach (var name in golden.Names.Where(name => !name.Contains("input_ids") && !name.Contains("weights")))
        {
            if (!name.StartsWith("sd1."))
            {
                refused++;                            // SD 2 and SDXL: refused where their encoders are opened, see above
                continue;
            }
            var captions = name == "sd1.weighted"
                ? [TokenWindows.Of(PromptAttention.Parse(golden.Metadata["weighted"], breaks: false).Select(piece => (piece.Text, piece.Weight)), 150)]
                : batch.Select(text => TokenWindows.Of(text, int.Parse(name.Split('.')[1]))).ToList();
            var states = CaptionEncoding.Encode(model, captions, name == "sd1.weighted" ? 1 : 2);
            Near(golden[name], states[TensorIndex.Ellipsis, TensorIndex.Slice(step: 4)], Exact, name);
            run++;
        }
        output.WriteLine($"{run} run, {refused} refused");
        Assert.True(run > 0);
    }

    [Fact, Trait("speed", "slow")]
    public void A_model_of_real_size_gives_the_reference_s_states()
    {
        using var scope = NewDisposeScope();
        var golden = new GoldenTensors("text-encoder", "clip_l.safetensors");
        var source = SynthModel.Real("sd1", "text");
        using var model = Fill(source);
        var tokens = golden.Json("tokens").EnumerateArray().Select(token => token.GetInt64()).ToArray();
        var channels = golden.Json("channels").GetInt64();
        var ids = golden["input_ids"];
        var embedded = model.Embed(ids);
        foreach (var name in golden.Names.Where(name => name != "input_ids"))
        {
            var states = name switch
            {
                "last_hidden_state" => model.call(ids, 1),
                "clip_skip.2" => model.call(ids, 2),
                "penultimate" => model.HiddenState(embedded, model.Spec.Layers - 1),
                "last_without_norm" => model.HiddenState(embedded, model.Spec.Layers),
                _ => model.HiddenState(embedded, int.Parse(name.Split('.')[1])),
            };
            Near(golden[name], states.index_select(1, tensor(tokens)).narrow(2, 0, channels), ExactAtRealSize, name);
        }
    }

    [Fact]
    public void A_forward_pass_leaves_one_tensor_behind()
    {
        using var scope = NewDisposeScope();
        using var model = Open("clip_l_tiny")!;
        var caption = TokenWindows.Of("a cat", 150);
        CaptionEncoding.Encode(model, [caption]);
        var before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        CaptionEncoding.Encode(model, [caption]);
        Assert.Equal(before + 1, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
    }

    [Fact]
    public void Layers_are_listed_in_the_order_of_the_reference()
    {
        using var model = Open("clip_l_tiny")!;
        var products = model.AdaptableLayers.Where(layer => !layer.Shape.IsNorm).ToList();
        Assert.Equal(6 * model.Spec.Layers, products.Count);
        Assert.Equal(2 * model.Spec.Layers + 1, model.AdaptableLayers.Count - products.Count);      // LyCORIS' norms: two a layer, one at the end
        Assert.Equal(
            ["self_attn.k_proj", "self_attn.v_proj", "self_attn.q_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2"],
            products.Take(6).Select(layer => layer.Key["text_model.encoder.layers.0.".Length..]));
        Assert.Equal(["CLIPEncoderLayer", "CLIPMLP"], products[4].Owners.TakeLast(2));
    }

    /// <summary>A golden tiny model, or null for one that is refused by name.</summary>
    private ClipTextModel? Open(string file)
    {
        var name = file.Replace('_', '-');
        if (name.StartsWith("clip-l")) return Fill(SynthModel.Component(["keys", "tiny.json"], "sd1", "text", name));

        var shapes = Golden.Json("keys", "tiny.json").GetProperty(name).EnumerateObject()
            .ToDictionary(entry => entry.Name[(entry.Name.IndexOf(".model.") + ".model.".Length)..], entry => GoldenTensors.Longs(entry.Value));
        var refusal = Assert.Throws<CheckpointException>(() => ClipTextSpec.ClipL.SizedBy(new(file, key => shapes.GetValueOrDefault(key), (_, _) => { })));
        Assert.Contains("SD 2, SDXL", refusal.Message);
        output.WriteLine($"{file} refused: {refusal.Message}");
        return null;
    }

    private static ClipTextModel Fill(ComponentWeights weights)
    {
        var model = new ClipTextModel(ClipTextSpec.ClipL.SizedBy(weights), Compute.Cpu);
        weights.Fill(model);
        return model;
    }

    private static void Near(Tensor expected, Tensor found, double tolerance, string what)
    {
        Assert.Equal(expected.shape, found.shape);
        var off = (expected - found).abs().max().item<float>();
        Assert.True(off <= tolerance, $"{what}: off by {off}, {tolerance} allowed");
    }
}
