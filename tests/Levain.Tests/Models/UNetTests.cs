using System.Text.Json;
using Levain.Models;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Models;

public sealed class UNetTests(ITestOutputHelper output)
{
    private const double Exact = 2e-5, ExactAtRealSize = 1e-4, ExactWhenQuiet = 1e-3, OfLargestGradient = 1e-4;    // tests/golden/unet/README.md
    private const double OneBitOfFrequency = 1e-4;     // libtorch's exp differs by a bit (6e-8) between processors; times 999

    public static TheoryData<string> Tiny => [.. Directory.GetFiles(Golden.Path("unet"), "*_tiny.safetensors").Select(file => Path.GetFileNameWithoutExtension(file))];

    public static TheoryData<string> RealSize => ["sd1"];

    [Theory, MemberData(nameof(Tiny))]
    public void A_tiny_network_predicts_what_kohya_predicts(string file)
    {
        var golden = new GoldenTensors("unet", $"{file}.safetensors");
        var (name, family) = (file.Replace('_', '-'), file.Split('_')[0]);
        using var network = Load(SynthModel.Component(["keys", "tiny.json"], family, "unet", name), family);
        foreach (var shown in golden.Json("cases").EnumerateObject()) Compare(network, name, shown.Name, shown.Value, golden, $"{shown.Name}.out", Exact);
    }

    [Theory, MemberData(nameof(Tiny))]
    public void Norms_use_the_right_epsilon_where_activations_are_quiet(string file)
    {
        var golden = new GoldenTensors("unet", $"{file}.safetensors");
        if (!golden.Names.Contains("quiet.out")) return;
        var (name, family) = (file.Replace('_', '-'), file.Split('_')[0]);
        string[] quiet = family == "sdxl"
            ? ["input_blocks.0.0", "input_blocks.4.0.skip_connection", "input_blocks.4.0.out_layers.3", "input_blocks.4.1.proj_in"]
            : ["input_blocks.0.0", "input_blocks.1.0.out_layers.3", "input_blocks.1.1.proj_in"];
        using var network = Load(SynthModel.Component(["keys", "tiny.json"], family, "unet", name, Hush), family);
        Compare(network, name, "a", golden.Json("cases").GetProperty("a"), golden, "quiet.out", ExactWhenQuiet);

        void Hush(string key, Tensor value)
        {
            if (quiet.Any(layer => key == $"model.diffusion_model.{layer}.weight" || key == $"model.diffusion_model.{layer}.bias")) value.mul_(0.001);
        }
    }

    [Theory, MemberData(nameof(Tiny))]
    public void Gradients_reach_latents_text_and_weights(string file)
    {
        var golden = new GoldenTensors("unet", $"{file}.safetensors");
        var (name, family) = (file.Replace('_', '-'), file.Split('_')[0]);
        var rows = Golden.Json("keys", $"{family}.json").GetProperty("unet").EnumerateArray()
            .ToDictionary(row => row.GetProperty("ldm").GetString()!, row => row.GetProperty("diffusers").ToString());
        foreach (var shown in golden.Json("cases").EnumerateObject())
        {
            var prefix = $"{shown.Name}.grad.";
            var wanted = golden.Names.Where(entry => entry.StartsWith(prefix)).Select(entry => entry[prefix.Length..]).ToList();
            if (wanted.Count == 0) continue;

            using var scope = NewDisposeScope();
            using var network = Load(SynthModel.Component(["keys", "tiny.json"], family, "unet", name), family);
            var weights = network.named_parameters().ToDictionary(entry => entry.name, entry => entry.parameter);
            foreach (var weight in weights.Values) weight.requires_grad = true;
            var inputs = new Inputs(name, shown.Name, shown.Value, network.Spec, requiresGrad: true);
            var prediction = network.forward(inputs.Latents, inputs.Timesteps, inputs.Context, inputs.Label);
            (prediction * Synth.Input($"{name}.{shown.Name}.probe", prediction.shape)).sum().backward();

            foreach (var key in wanted)
            {
                var found = key switch
                {
                    "latents" => inputs.Latents.grad!,
                    "context" => inputs.Context.grad!.narrow(1, 0, 8),
                    "y" => inputs.Label!.grad!,
                    _ => weights[rows[$"model.diffusion_model.{key}"]].grad!,
                };
                var expected = golden[prefix + key];
                found = found.narrow(0, 0, expected.shape[0]).view(expected.shape);
                Near(expected, found, OfLargestGradient * expected.abs().max().item<float>(), $"{name} {prefix}{key}");
            }
            output.WriteLine($"{name} {shown.Name}: {wanted.Count} gradients");
        }
    }

    [Theory, MemberData(nameof(RealSize)), Trait("speed", "slow")]
    public void A_network_of_real_size_predicts_what_kohya_predicts(string name)
    {
        var golden = new GoldenTensors("unet", $"{name}.safetensors");
        using var network = Load(SynthModel.Real(name, "unet"), name);
        foreach (var shown in golden.Json("cases").EnumerateObject()) Compare(network, name, shown.Name, shown.Value, golden, $"{shown.Name}.out", ExactAtRealSize);
    }

    [Fact]
    public void Sinusoids_put_the_cosine_first()
    {
        using var scope = NewDisposeScope();
        var golden = new GoldenTensors("unet", "embeddings.safetensors");
        foreach (var name in golden.Names.Where(name => name.StartsWith("embedding.")))
        {
            using var waves = new Sinusoids(long.Parse(name.Split('.')[1]), CPU);
            Near(golden[name], waves.Of(golden["timesteps"]), OneBitOfFrequency, name);
        }
    }

    [Fact]
    public void A_forward_pass_leaves_one_tensor_behind()
    {
        using var scope = NewDisposeScope();
        using var network = Load(SynthModel.Component(["keys", "tiny.json"], "sd1", "unet", "sd1-tiny"), "sd1");
        using var frozen = no_grad();
        var (latents, timesteps, context) = (zeros(1, 4, 8, 8), tensor(new long[] { 1 }), zeros(1, 77, 64));
        var before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        using var prediction = network.call(latents, timesteps, context);
        Assert.Equal(before + 1, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
    }

    private static UNet Load(ComponentWeights weights, string family)
    {
        var spec = (family switch { "sd1" => UNetSpec.Sd1, "sd2" => UNetSpec.Sd2, _ => UNetSpec.Sdxl }).SizedBy(weights);
        var network = new UNet(spec, Compute.Cpu);
        weights.Fill(network);
        return network;
    }

    private void Compare(UNet network, string model, string name, JsonElement shown, GoldenTensors golden, string expected, double tolerance)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var inputs = new Inputs(model, name, shown, network.Spec);
        var prediction = network.forward(inputs.Latents, inputs.Timesteps, inputs.Context, inputs.Label);
        var error = Near(golden[expected], prediction, tolerance, $"{model} {expected}");
        output.WriteLine($"{model} {expected}: largest error {error:0.0e0}");
    }

    internal static double Near(Tensor expected, Tensor found, double tolerance, string what)
    {
        Assert.Equal(expected.shape, found.shape);
        var error = (expected - found).abs().max().to_type(ScalarType.Float32).item<float>();
        Assert.True(error <= tolerance, $"{what}: largest error {error} > {tolerance}");
        return error;
    }

    private sealed class Inputs
    {
        public Inputs(string model, string name, JsonElement shown, UNetSpec spec, bool requiresGrad = false)
        {
            Latents = Synth.Input($"{model}.{name}.latents", GoldenTensors.Longs(shown.GetProperty("latents"))).requires_grad_(requiresGrad);
            var batch = Latents.shape[0];
            Timesteps = tensor(GoldenTensors.Longs(shown.GetProperty("timesteps")));
            Context = Synth.Input($"{model}.{name}.context", batch, shown.GetProperty("context_length").GetInt64(), spec.Context).requires_grad_(requiresGrad);
            Label = spec.LabelWidth > 0 ? Synth.Input($"{model}.{name}.y", batch, spec.LabelWidth).requires_grad_(requiresGrad) : null;
        }

        public Tensor Latents { get; }

        public Tensor Timesteps { get; }

        public Tensor Context { get; }

        public Tensor? Label { get; }
    }
}
