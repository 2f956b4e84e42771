using Levain.Models;
using Levain.Networks;
using Levain.Tests.Training.Replays;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Training;

/// <summary>K-80: the text encoder's blocks behind a clip skip.</summary>
public sealed class SkippedBlockTests
{
    private const int Blocks = 4, LayersInBlock = 6;

    [Theory]
    [InlineData(1, false, Blocks)]
    [InlineData(2, false, Blocks - 1)]
    [InlineData(2, true, Blocks)]
    [InlineData(4, true, Blocks)]
    public void Adapters_of_blocks_that_are_skipped_draw_and_are_not_trained(int clipSkip, bool all, int passed)
    {
        using var scope = NewDisposeScope();
        using var model = StableDiffusion.Open(TinyModel.Of("tiny_sd1"), Compute.Cpu);
        using var network = Network.Create(new() { Rank = 2, ModuleDropout = 0, TrainUNet = false }, new(model.TextEncoder.AdaptableLayers, []), new Generator(1));
        network.Attach();
        network.Training = true;
        using var generator = new Generator(5);
        network.DropoutSource = generator;
        var ids = zeros([1, 77], ScalarType.Int64);
        var plain = model.TextEncoder.call(ids, clipSkip);
        generator.manual_seed(5);
        network.ForgetReached();
        model.TextEncoder.PassesAllBlocks = all;
        var states = model.TextEncoder.call(ids, clipSkip);

        Assert.True(plain.equal(states).all().item<bool>());
        Assert.True(network.Draws);
        using var counted = new Generator(5);
        _ = rand(passed * LayersInBlock, generator: counted);
        Assert.Equal(rand(1, generator: counted).item<float>(), rand(1, generator: generator).item<float>());
        Assert.Equal((Blocks + 1 - clipSkip) * LayersInBlock, network.Adapters.Count(adapter => adapter.Reached));
    }
}
