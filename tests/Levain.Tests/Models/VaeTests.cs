using Levain.Models;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Models;

public sealed class VaeTests(ITestOutputHelper output)
{
    private const double Exact = 2e-5, ExactAtRealSize = 1e-4, ExactWhenQuiet = 1e-3;    // tests/golden/vae/README.md

    [Fact]
    public void A_tiny_autoencoder_agrees_with_diffusers() => CompareAll("vae_tiny", SynthModel.Component(["keys", "tiny.json"], "sd1", "vae", "vae-tiny"), Exact, stride: 1);

    [Fact, Trait("speed", "slow")]
    public void An_autoencoder_of_real_size_agrees_with_diffusers() => CompareAll("vae", SynthModel.Real("sd1", "vae"), ExactAtRealSize, stride: 2);

    [Fact]
    public void Norms_use_the_right_epsilon_where_activations_are_quiet()
    {
        using var scope = NewDisposeScope();
        var golden = new GoldenTensors("vae", "vae_tiny.safetensors");
        string[] quiet = ["encoder.conv_in", "decoder.conv_in", "decoder.mid.block_1.conv2"];
        using var vae = Load(SynthModel.Component(["keys", "tiny.json"], "sd1", "vae", "vae-tiny", Hush));
        var shown = golden.Json("cases").GetProperty("a");
        var (mean, _) = vae.Encode(Picture("vae-tiny.a.image", GoldenTensors.Longs(shown.GetProperty("image"))));
        UNetTests.Near(golden["quiet.mean"], mean, ExactWhenQuiet, "quiet.mean");
        UNetTests.Near(golden["quiet.decoded"], vae.Decode(Synth.Input("vae-tiny.a.z", mean.shape)), ExactWhenQuiet, "quiet.decoded");

        void Hush(string key, Tensor value)
        {
            if (quiet.Any(layer => key == $"first_stage_model.{layer}.weight" || key == $"first_stage_model.{layer}.bias")) value.mul_(0.001);
        }
    }

    [Theory]
    [InlineData(192, 136, 8)]
    [InlineData(64, 200, 9)]
    [InlineData(129, 151, 8)]       // odd rows and columns, of which halving leaves nothing
    [InlineData(64, 64, 8)]
    public void Encoding_in_tiles_gives_the_whole_picture_s_latent(int height, int width, int tile)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        using var vae = Load(SynthModel.Component(["keys", "tiny.json"], "sd1", "vae", "vae-tiny"));
        var picture = Picture("vae-tiny.tiled", [1, 3, height, width]);
        Compare("plain");
        foreach (var (across, down) in new[] { (true, true), (true, false), (false, true) })
            using (new Seamless([vae], across, down)) Compare($"joined {across} {down}");
        Compare("plain again");

        void Compare(string what)
        {
            var (mean, variance) = vae.Encode(picture);
            foreach (var mostKept in new[] { Vae.MostKept, 0 })
            {
                var tiled = vae.EncodeTiled(picture, tile, mostKept);
                output.WriteLine($"{what}, {mostKept}: largest error {UNetTests.Near(mean, tiled.Mean, Exact, what):0.0e0} and {UNetTests.Near(variance, tiled.LogVariance, Exact, what):0.0e0}");
            }
        }
    }

    private void CompareAll(string file, ComponentWeights weights, double tolerance, int stride)
    {
        var golden = new GoldenTensors("vae", $"{file}.safetensors");
        var name = file.Replace('_', '-');
        using var vae = Load(weights);
        foreach (var shown in golden.Json("cases").EnumerateObject())
        {
            using var scope = NewDisposeScope();
            var (mean, variance) = vae.Encode(Picture($"{name}.{shown.Name}.image", GoldenTensors.Longs(shown.Value.GetProperty("image"))));
            Check("mean", mean);
            Check("logvar", variance);
            var sample = mean + exp(0.5 * variance) * Synth.Input($"{name}.{shown.Name}.noise", mean.shape);
            Check("sample", sample);
            Check("decoded", Thin(vae.Decode(Synth.Input($"{name}.{shown.Name}.z", mean.shape))));
            Check("decoded_sample", Thin(vae.Decode(sample)));

            void Check(string what, Tensor found) =>
                output.WriteLine($"{name} {shown.Name}.{what}: largest error {UNetTests.Near(golden[$"{shown.Name}.{what}"], found, tolerance, $"{name} {shown.Name}.{what}"):0.0e0}");
        }

        Tensor Thin(Tensor picture) => picture[.., .., TensorIndex.Slice(step: stride), TensorIndex.Slice(step: stride)];
    }

    private static Tensor Picture(string name, long[] shape) => Synth.Make(name, shape, 2, 0);

    private static Vae Load(ComponentWeights weights)
    {
        var vae = new Vae(VaeSpec.Sd1.SizedBy(weights), Compute.Cpu);
        weights.Fill(vae);
        return vae;
    }
}
