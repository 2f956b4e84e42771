using Levain.Core;
using Levain.Formats;
using Levain.Models;
using Levain.Tests.Data;
using Levain.Tests.Training.Replays;
using Levain.Training;
using Levain.Training.Planning;
using Levain.Training.Settings;

namespace Levain.Tests.Training;

/// <summary>A run of a few steps over the small base and six squares at 64 px, and what it left behind.</summary>
internal sealed class SmallRun : IProgress<RunEvent>
{
    private readonly List<RunEvent> events = [];
    private readonly RunRequests requests = new();
    private int stopAfter = int.MaxValue;

    private SmallRun() { }

    /// <summary>Everything it told.</summary>
    public IReadOnlyList<RunEvent> Events => events;

    /// <summary>How it ended.</summary>
    public RunResult Result { get; private set; } = null!;

    /// <summary>The trained numbers at the end.</summary>
    public float[] Values { get; private set; } = [];

    /// <summary>Loss of each batch.</summary>
    public IEnumerable<double> Losses => events.OfType<StepDone>().Select(step => step.Loss);

    /// <summary>Settings to start from: rank 2, everything else as in a run file, six pictures an epoch.</summary>
    public static RunSettings Settings(TemporaryFolder folder) => new()
    {
        Model = new() { Base = TinyModel.Of("tiny_sd1") },
        Dataset = new() { Folder = Golden.Path("training", "dataset", "square"), Resolution = new(64, 64), EnableBucket = false },
        Network = new() { Rank = 2 },
        Optimizer = new() { LearningRate = 4e-3 },
        Training = new() { Steps = 4, Seed = 7, Precision = Precision.Fp32 },
        Output = new() { Folder = folder.Path, Name = "small" },
    };

    /// <summary>Makes the run.</summary>
    /// <param name="resume">Whether it goes on from what lies in its folder.</param>
    /// <param name="stopAfter">Step after which it is asked to stop.</param>
    /// <param name="look">Looks at the run when it is over.</param>
    /// <param name="write">Writes snapshots; null: as always.</param>
    /// <param name="hashes">Hashes of the base; null: its own.</param>
    public static SmallRun Make(RunSettings settings, bool resume = false, int stopAfter = int.MaxValue, Action<Run>? look = null, Action<string, Action<Stream>>? write = null, FileHashes? hashes = null)
    {
        var small = new SmallRun { stopAfter = stopAfter };
        var problems = new Problems();
        using var random = new RunRandom(settings.Training.Seed!.Value);
        var plan = RunPlan.Make(settings, problems, random.Python) ?? throw new InvalidOperationException(string.Join(Environment.NewLine, problems.All));
        using var model = StableDiffusion.Open(settings.Model.Base!, Compute.Cpu with { Memory = settings.Training.Memory }, trainable: settings.Trains is Trains.Model);
        using var run = new Run(plan, random, model, new() { Resume = resume, Write = write, Hashes = hashes ?? new() }, small);
        small.Result = run.Train(small.requests);
        small.Values = [.. run.Trained.Values.data<float>()];
        look?.Invoke(run);
        return small;
    }

    public void Report(RunEvent value)
    {
        events.Add(value);
        if (value is StepDone { Updated: true } step && step.Step == stopAfter) requests.Stop();
    }
}
