using Levain.Core;
using Levain.Tests.Data;
using Levain.Training;
using Levain.Training.Settings;
using Xunit;

namespace Levain.Tests.Training;

/// <summary>kohya's way of going on from a state: its names for states, what it counts, and that a run begun so can be stopped like any other.</summary>
public sealed class KohyaResumeTests
{
    private static RunSettings Settings(TemporaryFolder folder)
    {
        var settings = SmallRun.Settings(folder);
        return settings with { Compatibility = Compatibility.Kohya, Training = settings.Training with { Steps = 14 }, Snapshots = new() { WithSaves = true, Keep = 99 }, Output = settings.Output with { SaveEverySteps = 4, SaveEveryEpochs = 1 } };
    }

    [Fact]
    public void States_are_found_by_kohyas_names()
    {
        using var folder = new TemporaryFolder();
        SmallRun.Make(Settings(folder));
        string? name(string state) => Path.GetFileName(KohyaState.Find(Path.Combine(folder.Path, state)));
        Assert.Equal("step00000008-0002-000002.safetensors", name("small-step00000008-state"));
        Assert.Equal("step00000006-0002-000000.safetensors", name("small-000001-state"));
        Assert.Equal(name("small-snapshots"), name("small-state"));
        Assert.Null(name("small-step00000009-state"));
        Assert.Null(name("other-state"));
    }

    [Fact]
    public void States_of_a_run_without_a_name_are_found_by_kohyas_names_too()
    {
        using var folder = new TemporaryFolder();
        var settings = Settings(folder);
        SmallRun.Make(settings with { Training = settings.Training with { Steps = 8 }, Output = settings.Output with { Name = null } });
        string? name(string state) => Path.GetFileName(KohyaState.Find(Path.Combine(folder.Path, state)));
        Assert.Equal(["step00000008-0002-000002.safetensors", "step00000006-0002-000000.safetensors", "step00000008-0003-000000.safetensors", null],
            new[] { "at-step00000008-state", "epoch-000001-state", "last-state", "at-000001-state" }.Select(name));
    }

    [Fact]
    public void States_by_step_and_by_epoch_are_deleted_apart_as_kohya_does()
    {
        using var folder = new TemporaryFolder();
        SmallRun.Make(Settings(folder) with { Snapshots = new() { WithSaves = true, Keep = 99, KeepLastSteps = 5, KeepLastEpochs = 1 } });
        Assert.Equal(["step00000008-0002-000002", "step00000012-0002-000006", "step00000012-0003-000000", "step00000014-0004-000000"],
            Directory.EnumerateFiles(Path.Combine(folder.Path, "small-snapshots"), "step*").Select(Path.GetFileNameWithoutExtension).Order());
    }

    [Fact]
    public void The_moving_average_begins_with_what_is_gone_on_from()
    {
        using var folder = new TemporaryFolder();
        var first = SmallRun.Make(Settings(folder));
        using var resumed = new TemporaryFolder();
        var settings = Settings(resumed);
        settings = settings with
        {
            Optimizer = new() { LearningRate = 1e-12 },
            Training = settings.Training with { Steps = 20, EmaDecay = 0.999 },
            Snapshots = new() { KohyaResume = Path.Combine(folder.Path, "small-state") },
            Output = new() { Folder = resumed.Path, Name = "small" },
        };
        double norm(string path)
        {
            using var scope = TorchSharp.torch.NewDisposeScope();
            using var file = Levain.Formats.TensorFile.Open(path);
            return file.Entries.Keys.Where(key => key.EndsWith("lora_up.weight", StringComparison.Ordinal)).Sum(key => file.Load(key).norm().item<float>());
        }
        Assert.Equal(norm(first.Result.Path!), norm(SmallRun.Make(settings).Result.Path!), 1e-3);
    }

    [Theory]
    [InlineData(false, 1)]       // epoch 2 begins again, and steps from 0
    [InlineData(true, 3)]        // two batches of epoch 2 are passed over, and count as all steps that were made
    public void A_resumed_run_counts_as_kohya_does_and_can_itself_be_stopped(bool skip, int first)
    {
        using var folder = new TemporaryFolder();
        SmallRun.Make(Settings(folder), stopAfter: 8);
        using var resumed = new TemporaryFolder();
        var settings = Settings(resumed) with { Snapshots = new() { KohyaResume = Path.Combine(folder.Path, "small-step00000008-state"), SkipDone = skip } };

        var unbroken = SmallRun.Make(settings);
        var steps = unbroken.Events.OfType<StepDone>().ToList();
        Assert.Equal((first, 2), (steps[0].Step, steps[0].Epoch));
        Assert.Equal(12, unbroken.Result.Step);         // of 14: epochs 2 and 3 have six batches each, and there is no fourth

        var stopped = SmallRun.Make(settings, stopAfter: first + 2);
        Assert.False(stopped.Result.Finished);
        var again = SmallRun.Make(settings, resume: true);
        Assert.Equal(unbroken.Values, again.Values);
        Assert.Equal(unbroken.Losses, stopped.Losses.Concat(again.Losses));
    }

    [Fact]
    public void Other_trainers_make_all_steps_again()
    {
        using var folder = new TemporaryFolder();
        RunSettings word(TemporaryFolder output) => Settings(output) with { Trains = Trains.Embedding, Embedding = new() { Token = "zzcat" }, Training = new() { Steps = 8, Seed = 7, Precision = Precision.Fp32 } };
        SmallRun.Make(word(folder));
        using var resumed = new TemporaryFolder();
        var again = SmallRun.Make(word(resumed) with { Snapshots = new() { KohyaResume = Path.Combine(folder.Path, "small-state") } });
        var first = again.Events.OfType<StepDone>().First();
        Assert.Equal((1, 1, 8), (first.Step, first.Epoch, again.Result.Step));
    }

    [Fact]
    public void Passing_over_more_batches_than_are_done_counts_from_below_zero()
    {
        using var folder = new TemporaryFolder();
        var settings = Settings(folder);
        settings = settings with
        {
            Training = settings.Training with { GradientAccumulation = 4 },
            Snapshots = new() { InitialStep = 2, SkipDone = true },          // 8 batches, which kohya takes for 4 epochs of 2: 16 too many
            Output = settings.Output with { SaveEverySteps = 5, SaveEveryEpochs = null },
        };
        var run = SmallRun.Make(settings);
        var first = run.Events.OfType<StepDone>().First(step => step.Updated);
        Assert.Equal((-15, 5), (first.Step, first.Epoch));
        Assert.True(File.Exists(Path.Combine(folder.Path, "small-step-0000015.safetensors")));
    }

    [Fact]
    public void A_state_of_kohyas_own_is_refused()
    {
        using var folder = new TemporaryFolder();
        var state = Path.Combine(folder.Path, "a-state");
        Directory.CreateDirectory(state);
        File.WriteAllText(Path.Combine(state, "train_state.json"), "{}");
        var problems = new Problems();
        Assert.Null(Levain.Training.Planning.RunPlan.Make(Settings(folder) with { Snapshots = new() { KohyaResume = state } }, problems, new(7)));
        Assert.Contains("a state that kohya itself wrote", Assert.Single(problems.All).What);
    }
}
