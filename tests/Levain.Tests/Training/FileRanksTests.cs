using Levain.Core;
using Levain.Formats;
using Levain.Models;
using Levain.Networks;
using Levain.Tests.Data;
using Levain.Training;
using Levain.Training.Planning;
using Levain.Training.Settings;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Training;

/// <summary>Networks with the ranks of a file, begun by a run.</summary>
public sealed class FileRanksTests
{
    // L-21, for the network that is trained and for one that is merged beforehand.
    [Theory]
    [InlineData("dylora", 1)]
    [InlineData("locon", 1)]
    [InlineData("lora", 0)]
    [InlineData("lora_fa", 0)]
    public void LyCORIS_makes_its_default_network_before_each_of_a_file(string family, int networks)
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        var weights = Path.Combine(folder.Path, "begun.safetensors");
        var settings = SmallRun.Settings(folder) with { Compatibility = Compatibility.Kohya };
        settings = settings with
        {
            Network = new() { Family = family, Weights = weights, RankFromWeights = true, Dropout = 0.5, ModuleDropout = 0.5, LoraPlusRatio = 4, Preset = networks == 0 ? null : "attn-only" },
            Model = settings.Model with { Networks = [new() { File = weights }] },
            Cache = settings.Cache with { Latents = LatentCache.Off },      // encoding beforehand draws too
            Dataset = settings.Dataset with { Resolution = new(128, 128) },
        };
        using var model = StableDiffusion.Open(settings.Model.Base!, Compute.Cpu);
        var layers = new ModelLayers(model.TextEncoder.AdaptableLayers, model.UNet.AdaptableLayers);
        using (var made = Network.Create(new() { Rank = 2, Alpha = 2 }, layers, new Generator(1))) Safetensors.Write(weights, made.Tensors(), null);

        using var random = new RunRandom(7);
        var problems = new Problems();
        var plan = RunPlan.Make(settings, problems, random.Python) ?? throw new InvalidOperationException(string.Join(Environment.NewLine, problems.All));
        using var run = new Run(plan, random, model);
        var kind = family == "dylora" ? "locon" : family;
        Assert.All(run.Network.Adapters, adapter => Assert.Equal((kind, false), (adapter.Family.Name, adapter.Numbers.Drops)));
        Assert.Equal(216, run.Network.Adapters.Count);
        Assert.DoesNotContain(run.Network.Groups(1, 1), group => group.Name.EndsWith("plus"));

        using var twin = new RunRandom(7);
        using var file = TensorFile.Open(weights);
        twin.Skip(model.InitialDraws);
        for (var i = 0; i < 2; i++)
        {
            for (var j = 0; j < networks; j++) Network.Create(new() { Family = "locon", Rank = 4 }, layers, twin.Torch).Dispose();
            Network.Load(file, layers, new() { Family = kind }, twin.Torch).Dispose();
        }
        Assert.Equal(rand(1, generator: twin.Torch).item<float>(), rand(1, generator: random.Torch).item<float>());
    }
}
