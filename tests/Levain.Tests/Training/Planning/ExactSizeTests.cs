using Levain.Core;
using Levain.Training.Planning;
using Levain.Training.Settings;
using Xunit;

namespace Levain.Tests.Training.Planning;

/// <summary>K-51: what fits without buckets. The pictures are 128 px squares.</summary>
public sealed class ExactSizeTests
{
    [Theory]
    [InlineData(64, LatentCache.Off, false, Compatibility.Kohya, false)]
    [InlineData(192, LatentCache.Off, false, Compatibility.Kohya, false)]
    [InlineData(192, LatentCache.Off, true, Compatibility.Kohya, false)]
    [InlineData(64, LatentCache.Off, true, Compatibility.Kohya, true)]
    [InlineData(128, LatentCache.Off, false, Compatibility.Kohya, true)]
    [InlineData(64, LatentCache.Memory, false, Compatibility.Kohya, true)]
    [InlineData(64, LatentCache.Off, false, Compatibility.Sound, true)]
    public void A_picture_of_another_size_is_refused_where_kohya_refuses_it(int side, LatentCache cache, bool randomCrop, Compatibility compatibility, bool taken)
    {
        var settings = new RunSettings
        {
            Compatibility = compatibility,
            Model = new() { Base = HollowBase.At(Path.Combine(Path.GetTempPath(), "levain-hollow-bases", "tiny_sd1.safetensors")) },
            Dataset = new() { Folder = Golden.Path("training", "dataset", "square"), Resolution = new(side, side), EnableBucket = false, Shared = new() { RandomCrop = randomCrop } },
            Cache = new() { Latents = cache },
            Training = new() { Seed = 1 },
        };
        var problems = new Problems();
        Assert.Equal(taken, RunPlan.Make(settings, problems, new PythonRandom(1)) is not null);
        if (taken) Assert.Empty(problems.All);
        else Assert.Contains($"is 128x128 px, not {side}x{side}", Assert.Single(problems.All).What);
    }
}
