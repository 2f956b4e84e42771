using Levain.Formats;
using Levain.Tests.Data;
using Levain.Training;
using Levain.Training.Settings;
using Xunit;

namespace Levain.Tests.Training;

public sealed class ValidationTests
{
    private static RunSettings Settings(TemporaryFolder folder, ValidationSettings validation)
    {
        var settings = SmallRun.Settings(folder);
        return settings with { Dataset = settings.Dataset with { ValidationSplit = 0.34 }, Validation = validation };
    }

    [Fact]
    public void Judging_often_changes_nothing_about_training()
    {
        using var folder = new TemporaryFolder();
        var often = SmallRun.Make(Settings(folder, new() { EverySteps = 1 }));
        var once = SmallRun.Make(Settings(folder, new() { EverySteps = 4 }));
        Assert.Equal(once.Values, often.Values);
        Assert.Equal((4, 1), (often.Events.OfType<Validated>().Count(), once.Events.OfType<Validated>().Count()));
        Assert.Equal(once.Events.OfType<Validated>().Last().Loss, often.Events.OfType<Validated>().Last().Loss);
    }

    [Fact]
    public void A_run_that_grows_no_better_ends_and_its_best_network_is_kept()
    {
        using var folder = new TemporaryFolder();
        var settings = Settings(folder, new() { EverySteps = 1, KeepBest = true, Patience = 2 });
        // Nothing is learnt, so that every judgement is the same.
        var run = SmallRun.Make(settings with { Optimizer = settings.Optimizer with { LearningRate = 0 }, Training = settings.Training with { Steps = 9 } });
        var judged = run.Events.OfType<Validated>().ToList();
        Assert.Equal([true, false, false], judged.Select(one => one.Best));
        Assert.Single(judged.Select(one => one.Loss).Distinct());
        Assert.Equal((3, true), (run.Result.Step, run.Result.Finished));
        using (var file = TensorFile.Open(run.Result.Path!)) Assert.Equal("1", file.Metadata["ss_epoch"]);
        Assert.Contains("the run ends at step 3", run.Events.OfType<RunWarned>().Last().Message);
        Assert.Equal(["small-best.safetensors", "small.safetensors"], Directory.EnumerateFiles(folder.Path, "*.safetensors").Select(Path.GetFileName).Order());
    }

    [Fact]
    public void The_best_file_holds_the_average_that_was_judged()
    {
        using var folder = new TemporaryFolder();
        var settings = Settings(folder, new() { EverySteps = 4, KeepBest = true });
        SmallRun.Make(settings with { Training = settings.Training with { EmaDecay = 0.5 } });
        using var scope = TorchSharp.torch.NewDisposeScope();
        using var best = TensorFile.Open(Path.Combine(folder.Path, "small-best.safetensors"));
        using var last = TensorFile.Open(Path.Combine(folder.Path, "small.safetensors"));
        Assert.All(last.Entries.Keys, name => Assert.True(last.Load(name).eq(best.Load(name)).all().item<bool>(), name));
    }

    [Fact]
    public void Patience_goes_on_where_a_run_was_stopped()
    {
        using var folder = new TemporaryFolder();
        var settings = Settings(folder, new() { EverySteps = 1, Patience = 2 });
        settings = settings with { Optimizer = settings.Optimizer with { LearningRate = 0 }, Training = settings.Training with { Steps = 9 } };
        Assert.False(SmallRun.Make(settings, stopAfter: 2).Result.Finished);
        Assert.Equal(3, SmallRun.Make(settings, resume: true).Result.Step);
    }

    [Theory]
    [InlineData(Compatibility.Sound, Trains.Model, 2)]
    [InlineData(Compatibility.Kohya, Trains.Model, 0)]
    [InlineData(Compatibility.Kohya, Trains.Network, 2)]
    public void Kohya_judges_networks_only(Compatibility compatibility, Trains trains, int pictures)
    {
        using var folder = new TemporaryFolder();
        var settings = Settings(folder, new()) with { Compatibility = compatibility, Trains = trains };
        var plan = Levain.Training.Planning.RunPlan.Make(settings, new(), new(7))!;
        Assert.Equal((2, pictures), (plan.Dataset.Validation.Sum(part => part.Images.Count), plan.Judged.Sum(part => part.Images.Count)));
    }

    [Theory, InlineData(0), InlineData(2)]
    public void Kohyas_workers_judge_the_same_pictures_again_where_they_begin_anew(int workers)
    {
        using var folder = new TemporaryFolder();
        var settings = Settings(folder, new() { EverySteps = 1 });
        // Nothing is learnt to speak of.
        settings = settings with { Compatibility = Compatibility.Kohya, Optimizer = settings.Optimizer with { LearningRate = 1e-30 }, Training = settings.Training with { LoaderWorkers = workers } };
        var judged = SmallRun.Make(settings).Events.OfType<Validated>().Where(one => one.Epoch is null).ToList();
        Assert.Equal(4, judged.Count);
        Assert.Single(judged.Select(one => one.Loss).Distinct());
    }

    [Fact]
    public void Keeping_the_best_needs_pictures_to_judge_by()
    {
        using var folder = new TemporaryFolder();
        var problems = new Levain.Core.Problems();
        (SmallRun.Settings(folder) with { Validation = new() { KeepBest = true, Patience = 0 } }).Check(problems);
        Assert.Equal(["validation.patience", "validation.keep_best", "validation.patience"], problems.All.Select(problem => problem.Where));
    }
}
