using Levain.Core;
using Levain.Models;
using Levain.Tests.Data;
using Levain.Tests.Training.Kohya;
using Levain.Training;
using Levain.Training.Planning;
using Levain.Training.Settings;
using Xunit;

namespace Levain.Tests.Training.Replays;

/// <summary>Recorded runs at which kohya stops on an exception: refused with the switch, and made without it.</summary>
public sealed class StoppedRunTests
{
    public static TheoryData<string> Names => [.. RecordedRuns.Names.Where(name => RecordedRuns.Load(name) is var run && run.TryGetProperty("error", out _) && run.GetProperty("model").GetString() == "tiny_sd1")];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_run_that_stops_in_kohya_is_refused_by_its_defect_and_made_without_the_switch(string name)
    {
        using var folder = new TemporaryFolder();
        var (settings, problems) = RecordedRuns.Read(RecordedRuns.Load(name), "/models/$MODEL.safetensors", folder.Path);
        settings = settings with { Model = settings.Model with { Base = TinyModel.Of("tiny_sd1") } };
        using var first = new RunRandom(settings.Training.Seed!.Value);
        if (!problems.Any) Assert.Null(RunPlan.Make(settings, problems, first.Python));      // an exception on the way, which only the plan sees
        var problem = Assert.Single(problems.All);
        Assert.Contains("K-3", problem.What);
        settings = settings with { Compatibility = Compatibility.Sound };

        using var random = new RunRandom(settings.Training.Seed!.Value);
        var found = new Problems();
        var plan = RunPlan.Make(settings, found, random.Python);
        Assert.Empty(found.All);
        using var model = StableDiffusion.Open(settings.Model.Base!, Compute.Cpu, trainable: true);
        using var run = new Run(plan!, random, model);
        var result = run.Train();
        Assert.True(result.Finished);
        Assert.Equal(settings.Training.Steps, result.Step);
        Assert.True(File.Exists(result.Path));
    }
}
