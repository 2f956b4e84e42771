using Levain.Formats;
using Levain.Tests.Data;
using Levain.Training.Settings;
using Xunit;

namespace Levain.Tests.Training;

public sealed class BaseHashTests
{
    [Fact]
    public async Task A_run_asks_the_hashes_it_is_given_for_its_base()
    {
        using var folder = new TemporaryFolder();
        var hashes = new FileHashes();
        var settings = SmallRun.Settings(folder);
        var result = SmallRun.Make(settings with { Training = settings.Training with { Steps = 1 } }, hashes: hashes).Result;

        var asked = hashes.Of(settings.Model.Base!);
        Assert.True(asked.IsCompleted);         // the run waited for it
        using var file = TensorFile.Open(result.Path!);
        Assert.Equal(await asked, file.Metadata["ss_new_sd_model_hash"]);
    }

    [Fact]
    public void Of_a_folder_kohyas_word_is_written_and_without_buckets_none_is_kept_from_growing()
    {
        using var folder = new TemporaryFolder();
        var settings = SmallRun.Settings(folder) with { Training = new() { Steps = 1, Seed = 7, Precision = Precision.Fp32 } };
        var origin = SmallRun.Make(settings with { Trains = Trains.Model, Output = new() { Folder = folder.Path, Name = "base", Format = ResultFormat.Diffusers } }).Result.Path!;
        var run = SmallRun.Make(settings with
        {
            Compatibility = Compatibility.Kohya,
            Model = new() { Base = origin },
            Dataset = settings.Dataset with { EnableBucket = false, BucketNoUpscale = true },
        });
        using var file = TensorFile.Open(run.Result.Path!);
        Assert.Equal(("IsADirectory", "IsADirectory", "False"), (file.Metadata["ss_sd_model_hash"], file.Metadata["ss_new_sd_model_hash"], file.Metadata["ss_bucket_no_upscale"]));
    }
}
