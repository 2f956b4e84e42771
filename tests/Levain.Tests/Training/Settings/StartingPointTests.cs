using Levain.Core;
using Levain.Tests.Training.Planning;
using Levain.Training.Planning;
using Levain.Training.Settings;
using Xunit;

namespace Levain.Tests.Training.Settings;

public sealed class StartingPointTests
{
    [Theory]
    [InlineData("train", "train", true)]
    [InlineData("train/2_sks cat", "sks cat", true)]
    [InlineData("square", "square", false)]
    public void A_folder_becomes_a_run_that_can_be_made(string pictures, string name, bool bucketsOfSeveralSizes)
    {
        var folder = Path.Combine(Path.GetTempPath(), "levain-hollow-bases");
        var model = HollowBase.At(Path.Combine(folder, "tiny_sd1.safetensors"));
        var start = StartingPoint.For(Golden.Path(["training", "dataset", .. pictures.Split('/')]), model, folder, 7);
        var (settings, problems) = RunSettings.Parse(start.Settings.ToToml(folder), "run.toml", folder);
        Assert.Equal(start.Settings.ToToml(folder), settings.ToToml(folder));
        var plan = RunPlan.Make(settings, problems, new PythonRandom(7));
        Assert.Empty(problems.All);
        Assert.Equal(name, settings.Output.Name);
        Assert.Equal(new PixelSize(128, 128), settings.Dataset.Resolution);
        Assert.Equal(bucketsOfSeveralSizes, plan!.Dataset.Parts[0].Buckets.Count > 1);
        Assert.InRange(plan.Length.Steps, 1600, 1700);
        Assert.InRange(plan.Files.Count, 4, 5);
        Assert.NotEmpty(start.Reasons);
    }
}
