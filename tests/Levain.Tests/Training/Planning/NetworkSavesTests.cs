using Levain.Training.Planning;
using Levain.Training.Settings;
using Xunit;

namespace Levain.Tests.Training.Planning;

public sealed class NetworkSavesTests
{
    private static IEnumerable<string> Remaining(OutputSettings output, int steps, int epochs, int stepsPerEpoch) =>
        new NetworkSaves(output with { Folder = "/o" }, steps, epochs).Remaining(stepsPerEpoch).Select(save => Path.GetFileName(save.Path));

    [Fact]
    public void Nameless_files_have_kohyas_names() =>
        Assert.Equal(["at-step00000004.safetensors", "epoch-000001.safetensors", "at-step00000008.safetensors", "last.safetensors"],
            Remaining(new() { SaveEverySteps = 4, SaveEveryEpochs = 1 }, 10, 2, 5));

    [Fact]
    public void The_last_epoch_has_the_final_name_only() =>
        Assert.Equal(["n-000002.safetensors", "n.safetensors"], Remaining(new() { Name = "n", SaveEveryEpochs = 2 }, 20, 4, 5));

    [Fact]
    public void Old_files_go_when_new_ones_are_there()
    {
        Assert.Equal(["n-000003.safetensors", "n-000004.safetensors", "n.safetensors"], Remaining(new() { Name = "n", SaveEveryEpochs = 1, KeepLastEpochs = 2 }, 30, 5, 6));
        Assert.Equal(["n-step00000009.safetensors", "n-step00000012.safetensors", "n.safetensors"], Remaining(new() { Name = "n", SaveEverySteps = 3, KeepLastSteps = 4 }, 14, 3, 6));
    }

    [Fact]
    public void A_ratio_goes_before_the_number_of_epochs() =>
        Assert.Equal(3, new NetworkSaves(new() { SaveEpochRatio = 3, SaveEveryEpochs = 1 }, 100, 10).EveryEpochs);

    [Theory]
    [InlineData(22, 2, null, 2, 11, 22, 2)]
    [InlineData(5, 2, 20, null, 3, 20, 7)]
    [InlineData(7, 1, null, null, 7, 1600, 229)]
    public void Lengths_are_counted_as_kohya_counts(int batches, int accumulation, int? steps, int? epochs, int perEpoch, int allSteps, int allEpochs) =>
        Assert.Equal(new RunLength(batches, perEpoch, allSteps, allEpochs), RunLength.Of(batches, new() { GradientAccumulation = accumulation, Steps = steps, Epochs = epochs }));
}
