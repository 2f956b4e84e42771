using Levain.Cli.Watching;
using Levain.Core;
using Levain.Models;
using Levain.Training;
using Levain.Training.Planning;
using Levain.Training.Settings;
using Levain.Training.Watching;

namespace Levain.Cli;

/// <summary>One run from its settings to its network file, with everything that watches it: console, TensorBoard, JSON lines, loss plot.</summary>
internal sealed class Baking(Screen screen)
{
    /// <summary>The loss plot's file name in the output folder.</summary>
    public const string PlotName = "loss.png", RangePlotName = "learning-rates.png";

    private const string LogFolder = "log", DefaultName = "last";

    /// <summary>Goes on from the newest snapshot.</summary>
    public bool Resume { get; init; }

    /// <summary>Goes on without pictures that cannot be read.</summary>
    public bool SkipBroken { get; init; }

    /// <summary>Prints the plan, trains, and gives back how it ended.</summary>
    /// <param name="settings">Settings with a seed.</param>
    /// <param name="problems">What was wrong already when they were read.</param>
    /// <param name="engine">How to compute.</param>
    /// <param name="stop">Asks the run to save and end.</param>
    /// <exception cref="SettingsException">The run cannot be made; every reason is told.</exception>
    public RunResult Run(RunSettings settings, Problems problems, EngineOptions engine, CancellationToken stop)
    {
        var python = new PythonRandom(settings.Training.Seed!.Value);
        if (RunPlan.Make(settings, problems, python, SkipBroken, progress: new Indexing(screen), cancel: stop) is not { } plan) throw new SettingsException(problems.All);
        screen.Note(PlanView.Table(plan, floor: null));

        var compute = Engine.Start(engine);
        using var random = new RunRandom(settings.Training.Seed!.Value, python);
        using var model = StableDiffusion.Open(settings.Model.Base!, compute, settings.Model.Vae, trainable: settings.Trains is Trains.Model);
        return RunWatch.Show(screen, console =>
        {
            using var listeners = new Listeners([console, .. Logs(plan)]);
            var options = new RunOptions { Resume = Resume, Machine = MachineArguments.Describe(model.Compute), Session = Random.Shared.NextInt64(1L << 32), Hashes = HashStore.Hashes };
            using var run = new Run(plan, random, model, options, listeners, stop);
            return run.Train(cancel: stop);
        });
    }

    private IEnumerable<IProgress<RunEvent>> Logs(RunPlan plan)
    {
        var (log, output) = (plan.Settings.Log, plan.Settings.Output);
        var folder = log.Folder ?? Path.Combine(output.Folder, LogFolder);
        var lines = Path.Combine(folder, $"{output.Name ?? DefaultName}.jsonl");
        var tracker = log.TrackerOf(plan.Settings.Trains);
        var lastStep = Resume ? EarlierRun.Find(output)?.Step ?? 0 : (int?)null;
        if (log.TensorBoard) yield return lastStep is { } step ? TensorBoardLog.Resume(folder, log.Prefix, tracker, step, TimeProvider.System) : TensorBoardLog.Create(folder, log.Prefix, tracker, TimeProvider.System);
        if (log.Json) yield return lastStep is { } at ? JsonLog.Resume(lines, at, TimeProvider.System) : JsonLog.Create(lines, TimeProvider.System);
        if (plan.Settings.Schedule.Type is ScheduleType.RangeTest) yield return new RateRangePlot(Path.Combine(output.Folder, RangePlotName), lastStep is null ? null : JsonLog.Earlier(lines));
        if (log.Plot) yield return new LossPlot(Path.Combine(output.Folder, PlotName), lastStep is null ? null : JsonLog.Losses(lines));
    }
}
