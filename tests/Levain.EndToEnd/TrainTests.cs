using System.Diagnostics;
using System.Text.Json;
using Xunit;

namespace Levain.EndToEnd;

public sealed class TrainTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(15);
    private static readonly Lazy<IReadOnlyDictionary<string, string>> Whole = new(() => SmallRun.Unbroken());

    [Fact]
    public void A_run_killed_again_and_again_ends_in_the_same_bytes()
    {
        using var run = new SmallRun();
        // A number is the step whose line is waited for; 0 kills while a snapshot is being written, −1 before anything was.
        foreach (var moment in new[] { -1, 0, 3, 0, 6, 7, 0, 9 }) KillAt(run, moment);
        Finish(run);
        Assert.Equal(Text(Whole.Value), Text(run.Files()));
    }

    [Fact]
    public void A_run_stopped_by_Ctrl_C_says_how_to_go_on_and_does()
    {
        using var run = new SmallRun();
        using (var running = LevainProcess.Start(run.Folder, "train", "run.toml", "--set", "snapshots.every_steps=100"))
        {
            Assert.True(running.WaitForNote("step 1/12", Patience));
            Interrupt(running.Id);
            var stopped = running.Wait(Patience);
            Assert.True(stopped.Code == 130, stopped.ToString());
            Assert.Contains("Go on with: levain train run.toml --resume", stopped.Error);
        }
        Assert.Single(Directory.GetFiles(run.Snapshots, "step*.safetensors"));
        Finish(run);
        Assert.Equal(Text(Whole.Value), Text(run.Files()));
    }

    [Fact]
    public void A_finished_run_can_be_made_longer()
    {
        using var run = new SmallRun();
        run.Set("steps = 12", "steps = 9");
        Finish(run, "--set", "schedule.type=constant");
        run.Set("steps = 9", "steps = 12");
        Finish(run);
        Assert.Equal(Whole.Value["small.safetensors"], run.Files()["small.safetensors"]);
    }

    [Fact]
    public void Another_run_is_not_gone_on_from()
    {
        using var run = new SmallRun();
        KillAt(run, 2);
        File.WriteAllText(Path.Combine(run.Folder, "pictures", "mochi_01.txt"), "somebody else");
        run.Set("rank = 48", "rank = 8");
        var refused = LevainProcess.Run(run.Folder, "train", "run.toml", "--resume");
        Assert.True(refused.Code == 1, refused.ToString());
        Assert.Contains("network.rank was 48 and is 8 now.", refused.Error);
        Assert.Contains("mochi_01.png has changed.", refused.Error);
        Assert.Contains("start anew without --resume", refused.Error);
    }

    [Fact]
    public void A_run_leaves_files_logs_and_a_plot_and_reports_each_step_as_json()
    {
        using var run = new SmallRun();
        var outcome = LevainProcess.Run(run.Folder, "train", "run.toml", "--json", "--set", "samples.every_steps=6", "--set", "samples.prompts=[{prompt = \"mochi\", steps = 2}]");
        Assert.True(outcome.Code == 0, outcome.ToString());
        var result = JsonDocument.Parse(outcome.Output).RootElement;
        Assert.True(result.GetProperty("ok").GetBoolean());
        Assert.Equal(Path.Combine(run.Folder, "output", "small.safetensors"), result.GetProperty("path").GetString());
        var steps = outcome.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement).Where(line => line.GetProperty("event").GetString() == "step").ToList();
        Assert.Equal(SmallRun.Steps, steps[^1].GetProperty("step").GetInt32());
        var output = Path.Combine(run.Folder, "output");
        Assert.Equal(["small-step00000005.safetensors", "small-step00000010.safetensors", "small.safetensors"], Directory.GetFiles(output, "*.safetensors").Select(file => Path.GetFileName(file)!).Order(StringComparer.Ordinal));
        Assert.True(File.Exists(Path.Combine(output, "loss.png")));
        Assert.Equal(2, Directory.GetFiles(Path.Combine(output, "sample"), "small_0000*_00_*_1.png").Length);
        Assert.Single(Directory.GetFiles(Path.Combine(output, "log"), "events.out.tfevents.*", SearchOption.AllDirectories));
        Assert.Equal(Whole.Value["small.safetensors"], run.Files()["small.safetensors"]);      // drawing pictures moves no random number
    }

    [Fact]
    public void A_folder_of_pictures_gives_a_run_file_with_reasons_that_checks()
    {
        using var run = new SmallRun();
        var outcome = LevainProcess.Run(run.Folder, "train", "mine.toml", "--from-folder", "pictures", "--base", SmallRun.Base, "--set", "training.epochs=1", "--set", "dataset.resolution=64", "--set", "dataset.min_bucket_reso=64", "--set", "network.rank=2");
        Assert.True(outcome.Code == 0, outcome.ToString());
        var written = File.ReadAllText(Path.Combine(run.Folder, "mine.toml"));
        Assert.StartsWith("# 11 pictures: taken for a character", written);
        Assert.True(File.Exists(Path.Combine(run.Folder, "output", "pictures.safetensors")));
        Assert.Equal(0, LevainProcess.Run(run.Folder, "check", "mine.toml").Code);
        var again = LevainProcess.Run(run.Folder, "train", "mine.toml", "--from-folder", "pictures", "--base", SmallRun.Base);
        Assert.Equal(2, again.Code);
        Assert.Contains("mine.toml: is there already.", again.Error);
    }

    [Fact]
    public void A_full_disk_costs_a_snapshot_and_not_the_run()
    {
        if (SmallDisk.TryMount() is not { } disk) return;      // needs root; the failing stream of SnapshotTests needs nothing
        using (disk)
        using (var run = new SmallRun())
        {
            var outcome = LevainProcess.Run(run.Folder, "train", "run.toml", "--set", $"output.folder=\"{disk.Folder}\"", "--set", "output.save_every_steps=100");
            Assert.Contains("could not be written", outcome.Error);
            Assert.DoesNotContain("Unhandled", outcome.Error);
            Assert.Empty(Directory.GetFiles(disk.Folder, ".*.tmp", SearchOption.AllDirectories));
        }
    }

    // As one text, so that a failure shows the line that differs.
    private static string Text(IReadOnlyDictionary<string, string> files) => string.Join("\n\n", files.OrderBy(file => file.Key, StringComparer.Ordinal).Select(file => $"{file.Key} {file.Value}"));

    private static void KillAt(SmallRun run, int moment)
    {
        using var running = LevainProcess.Start(run.Folder, "train", "run.toml", "--resume", "--json");
        if (moment > 0) Assert.True(running.WaitForNote($"\"step\":{moment},", Patience));
        else
        {
            var clock = Stopwatch.StartNew();
            while (!running.HasExited && !(moment < 0 ? Directory.Exists(run.Snapshots) : run.IsSaving)) Assert.True(clock.Elapsed < Patience);
        }
        Assert.False(running.HasExited, $"The run was over before it could be killed at {moment}.");
        running.Kill();
        running.Wait(Patience);
    }

    private static void Finish(SmallRun run, params string[] more)
    {
        var outcome = LevainProcess.Run(run.Folder, ["train", "run.toml", "--resume", .. more]);
        Assert.True(outcome.Code == 0, outcome.ToString());
    }

    private static void Interrupt(int process)
    {
        using var kill = Process.Start("kill", ["-INT", $"{process}"]);
        kill.WaitForExit();
    }
}
