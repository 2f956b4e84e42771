using Levain.Core;
using Levain.Formats;
using Levain.Networks;
using Levain.Tests.Data;
using Levain.Training.Settings;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Training.Trained;

public sealed class TrainedHypernetworkTests
{
    private static RunSettings Settings(TemporaryFolder folder, HypernetworkSettings network, int steps = 2) => SmallRun.Settings(folder) with
    {
        Trains = Trains.Hypernetwork,
        Hypernetwork = network,
        Training = new() { Steps = steps, Seed = 7, Precision = Precision.Fp32 },
        Optimizer = new() { LearningRate = 1e-3 },
    };

    [Theory]
    [InlineData("linear", false, HypernetworkStart.Normal)]
    [InlineData("swish", true, HypernetworkStart.KaimingNormal)]
    [InlineData("relu", false, HypernetworkStart.XavierUniform)]
    public void A_trained_hypernetwork_acts_the_same_when_it_is_read_from_its_file(string activation, bool norms, HypernetworkStart start)
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var settings = Settings(folder, new() { Activation = activation, LayerNorm = norms, Start = start, LayerStructure = [1, 1.5, 2, 1] });
        var (x, keys, values) = (rand(1, 3, 64), zeros(0), zeros(0));
        float[] numbers = [];
        var run = SmallRun.Make(settings, look: run =>
        {
            using var frozen = no_grad();
            var options = settings.Hypernetwork.ToOptions([64, 32]);
            using var twin = Hypernetwork.Create("twin", options, new Generator(), CPU);
            twin.Values!.copy_(run.Trained.Values);
            (keys, values, numbers) = (twin.Apply(x, false, 0.5), twin.Apply(x, true, 0.5), [.. run.Trained.Values.data<float>()]);
        });
        Assert.Equal(Path.Combine(folder.Path, "small.pt"), run.Result.Path);
        using var read = Hypernetwork.Read(run.Result.Path!);
        Assert.Equal(("small", 64L), (read.Name, read.Widths.Last()));
        Assert.Equal(keys.data<float>().ToArray(), read.Apply(x, false, 0.5).data<float>().ToArray());
        Assert.Equal(values.data<float>().ToArray(), read.Apply(x, true, 0.5).data<float>().ToArray());

        // Training moves it, and a file is gone on from.
        var still = settings with { Hypernetwork = settings.Hypernetwork with { Weights = run.Result.Path }, Optimizer = new() { LearningRate = 1e-3, UnetLearningRate = 0 }, Output = new() { Folder = folder.Path, Name = "again" } };
        Assert.Equal(numbers, SmallRun.Make(still).Values);
        Assert.NotEqual(numbers, SmallRun.Make(still with { Optimizer = new() { LearningRate = 1e-3 } }).Values);
    }

    [Fact]
    public void A_stopped_training_of_a_hypernetwork_ends_as_the_unbroken_one()
    {
        using var whole = new TemporaryFolder();
        using var broken = new TemporaryFolder();
        var unbroken = SmallRun.Make(Settings(whole, new(), 4));
        SmallRun.Make(Settings(broken, new(), 4), stopAfter: 2);
        Assert.Equal(unbroken.Values, SmallRun.Make(Settings(broken, new(), 4), resume: true).Values);
    }

    [Fact]
    public void What_cannot_work_is_told()
    {
        var problems = new Problems();
        new HypernetworkSettings { LayerStructure = [1, 2], Activation = "glu", Widths = [], Weights = "/nowhere.pt" }.Check(problems);
        Assert.Equal(["layer_structure", "activation", "widths", "weights"], problems.All.Select(problem => problem.Where));
    }

    [Fact]
    public void The_oldest_files_are_gone_on_from_too()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var options = new HypernetworkSettings().ToOptions([64]);
        using var old = Hypernetwork.Create("old", options, new Generator(3), CPU);
        var path = Path.Combine(folder.Path, "old.safetensors");
        Safetensors.Write(path, old.Tensors.Select(tensor => KeyValuePair.Create(tensor.Name.Replace("linear.1.", "linear2.").Replace("linear.0.", "linear1."), old.Values!.narrow(0, tensor.Start, tensor.Length).view(tensor.Shape).clone())).ToList(), new Dictionary<string, string>());
        using var again = Hypernetwork.Create("again", options, new Generator(4), CPU);
        using (var file = TensorFile.Open(path)) again.Fill(file);
        Assert.True(again.Values!.eq(old.Values!).all().item<bool>());
    }
}
