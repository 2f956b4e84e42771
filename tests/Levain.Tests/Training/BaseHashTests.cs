using Levain.Formats;
using Levain.Tests.Data;
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
}
