using Levain.Formats;
using Levain.Models;
using Levain.Tests.Data;
using Levain.Tests.Training.Kohya;
using Levain.Training;
using Levain.Training.Planning;
using Xunit;

namespace Levain.Tests.Training.Replays;

/// <summary>
/// Whole runs of kohya's trainers, made again from their command lines: the same batches, flips, captions, timesteps, positions of the generator,
/// losses, gradients, logs, files, metadata and weights. A run that this version does not make is refused by name before any model is opened.
/// </summary>
public sealed class ReplayTests(ITestOutputHelper output)
{
    // Runs of full size take minutes and gigabytes: only on demand, LEVAIN_REPLAY=real_sd15 dotnet test.
    private const string Chosen = "LEVAIN_REPLAY";

    public static TheoryData<string> Names => [.. Environment.GetEnvironmentVariable(Chosen) is { } names ? names.Split(',')
        : RecordedRuns.Names.Where(name => RecordedRuns.Load(name).GetProperty("model").GetString()!.StartsWith("tiny_", StringComparison.Ordinal))];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_recorded_run_is_made_again_or_refused_by_name(string name)
    {
        using var folder = new TemporaryFolder();
        var recorded = RecordedRuns.Load(name);
        // Runs that cache latents on disk write beside the pictures.
        var (pictures, results) = (Path.Combine(folder.Path, "dataset"), Path.Combine(folder.Path, "out"));
        CopyFolder(Golden.Path("training", "dataset"), pictures);
        var (settings, problems) = RecordedRuns.Read(recorded, "/models/$MODEL.safetensors", results, pictures, folder.Path);
        if (!problems.Any) settings = settings with { Model = settings.Model with { Base = TinyModel.Of(recorded.GetProperty("model").GetString()!) } };
        if (!problems.Any && recorded.TryGetProperty("error", out _))
        {
            // Some exceptions wait on the way, where only the plan sees them.
            using var random = new RunRandom(settings.Training.Seed!.Value);
            Assert.True(RunPlan.Make(settings, problems, random.Python) is null, $"{name}: kohya stops on an exception there, and nothing says so.");
        }
        if (problems.Any)
        {
            output.WriteLine($"{name}: refused. {string.Join(" ", problems.All)}");
            return;
        }
        if (settings.Snapshots.KohyaResume is { } state) MakeBeforehand(state, folder.Path, pictures);
        var replay = Replay.Run(name, recorded, settings);
        using (var file = TensorFile.Open(Path.Combine(results, settings.Output.Name + ".safetensors")))
        {
            using var weights = TensorFile.Open(Golden.Path("training", name + ".safetensors"));
            RecordedResult.CompareTensors(name, file, weights, replay.IsShaky ? 4 : 1);
            RecordedResult.CompareMetadata(name, file, recorded.GetProperty("metadata"));
        }
        RecordedResult.CompareFiles(name, results, recorded.GetProperty("files"));
        RecordedResult.CompareLogs(name, replay, recorded.GetProperty("logs"), settings.Optimizer.Options.MakesRates);
        output.WriteLine($"{name}: {replay.Logs.Count} rows, losses within {replay.WorstLoss:0.0e+0}, {replay.Time.TotalSeconds:0.0} s.");
    }

    [Fact]
    public void All_recorded_runs_are_counted()
    {
        var read = RecordedRuns.Names.Select(name => (Name: name, RecordedRuns.Read(RecordedRuns.Load(name)).Problems)).ToList();
        var (refused, made) = (read.Where(run => run.Problems.Any).ToList(), read.Where(run => !run.Problems.Any).ToList());
        output.WriteLine($"{made.Count} recorded runs are replayed: {string.Join(", ", made.Select(run => run.Name))}.");
        output.WriteLine($"{refused.Count} are refused by name:");
        foreach (var (name, problems) in refused) output.WriteLine($"  {name}: {string.Join(" ", problems.All)}");
        Assert.All(refused, run => Assert.All(run.Problems.All, problem => Assert.NotEmpty(problem.Where)));
    }

    // A run that goes on from the state of another one, RUNS/other/out/…: that one is made first, and leaves our snapshots.
    private static void MakeBeforehand(string state, string runs, string pictures)
    {
        var other = Path.GetRelativePath(runs, state).Split(Path.DirectorySeparatorChar)[0];
        var recorded = RecordedRuns.Load(other);
        var (settings, problems) = RecordedRuns.Read(recorded, "/models/$MODEL.safetensors", Path.Combine(runs, other, "out"), pictures, runs);
        Assert.Empty(problems.All);
        settings = settings with { Model = settings.Model with { Base = TinyModel.Of(recorded.GetProperty("model").GetString()!) } };
        // No further than the state that is asked for.
        var step = int.Parse(System.Text.RegularExpressions.Regex.Match(state, @"step(\d+)").Groups[1].Value);
        using var random = new RunRandom(settings.Training.Seed!.Value);
        var plan = RunPlan.Make(settings, problems, random.Python);
        using var model = StableDiffusion.Open(settings.Model.Base!, Compute.Cpu, settings.Model.Vae);
        using var requests = new RunRequests();
        using var run = new Run(plan!, random, model, null, new StopAfter(step, requests));
        Assert.Equal(step, run.Train(requests).Step);
    }

    private sealed class StopAfter(int last, RunRequests requests) : IProgress<RunEvent>
    {
        public void Report(RunEvent value)
        {
            if (value is StepDone step && step.Step == last) requests.Stop();
        }
    }

    private static void CopyFolder(string from, string to)
    {
        foreach (var file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories).Where(file => !file.EndsWith(".npz", StringComparison.Ordinal)))
        {
            var target = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target);
        }
    }
}
