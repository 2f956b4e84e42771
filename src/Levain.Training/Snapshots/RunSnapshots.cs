using System.Diagnostics;
using System.Text.Json;
using Levain.Core;
using Levain.Training.Planning;

namespace Levain.Training;

/// <summary>When a run's snapshots are written, and whether one found fits the run that would go on from it.</summary>
internal sealed class RunSnapshots
{
    private const string IdentityFile = "run.json";

    // Where nothing is asked for: a stop costs no more than this.
    private static readonly TimeSpan Unasked = TimeSpan.FromMinutes(10);

    private readonly RunPlan plan;
    private readonly RunOptions options;
    private readonly IProgress<RunEvent>? events;
    private readonly SnapshotFolder folder;
    private long lastSaved = Stopwatch.GetTimestamp();

    public RunSnapshots(RunPlan plan, RunOptions options, IProgress<RunEvent>? events, Action<string, Action<Stream>>? write = null)
    {
        (this.plan, this.options, this.events) = (plan, options, events);
        folder = new(FolderOf(plan.Settings.Output), plan.Settings.Snapshots.Keep, write ?? options.Write);
        Fingerprint = RunFingerprint.Of(plan.Settings, plan.Dataset);
        Identity = (options.Resume ? FindIdentity(plan.Settings.Output) : null)
            ?? new(options.Session, (options.Clock.GetUtcNow() - DateTimeOffset.UnixEpoch).TotalSeconds, plan.Seed, options.Machine);
    }

    /// <summary>The run's number and time of beginning; kept by a run that goes on.</summary>
    public RunIdentity Identity { get; private set; }

    /// <summary>What the run is made of.</summary>
    public RunFingerprint Fingerprint { get; }

    /// <summary>What was chosen for this machine.</summary>
    public IReadOnlyDictionary<string, string> Machine => options.Machine;

    /// <summary>The folder of a run's snapshots.</summary>
    public static string FolderOf(Settings.OutputSettings output) => Path.Combine(output.Folder, $"{output.Name ?? "last"}-snapshots");

    /// <summary>What an earlier start of this run was known by; null where there was none.</summary>
    public static RunIdentity? FindIdentity(Settings.OutputSettings output)
    {
        var path = Path.Combine(FolderOf(output), IdentityFile);
        try { return File.Exists(path) ? JsonSerializer.Deserialize<RunIdentity>(File.ReadAllBytes(path)) : null; }
        catch (JsonException) { return null; }
    }

    /// <summary>The snapshot to go on from; null for a run from the beginning.</summary>
    public string? Find()
    {
        if (!options.Resume) return null;
        var newest = folder.Newest;
        if (newest is null) events?.Report(new RunWarned($"There is no snapshot in {folder.Path} yet: the run starts from the beginning."));
        return newest;
    }

    /// <summary>Reads a snapshot of this very run.</summary>
    /// <exception cref="RunException">It is of a run with other settings or pictures; the message names them.</exception>
    public Snapshot Read(string path)
    {
        var snapshot = Snapshot.Read(path);
        var differences = snapshot.At.Fingerprint.Differences(Fingerprint);
        const int told = 12;
        if (differences.Count > 0)
            throw new RunException($"{path} is of another run, so this one cannot go on from it:{string.Concat(differences.Take(told).Select(difference => $"{Environment.NewLine}  {difference}"))}"
                + (differences.Count > told ? $"{Environment.NewLine}  and {differences.Count - told} more." : "") + $"{Environment.NewLine}Undo the changes, or start anew without --resume.");
        if (snapshot.At.Step > plan.Length.Steps)
            throw new RunException($"{path} has {Counted.Of(snapshot.At.Step, "step")} behind it, more than the {plan.Length.Steps} asked for. Ask for more, or start anew without --resume.");
        foreach (var (name, value) in snapshot.At.Machine)
            if (!Machine.TryGetValue(name, out var now) || now != value)
                events?.Report(new RunWarned($"{name} was {value} when the run was stopped and is {now ?? "not set"} now: the last digits of its numbers will differ."));
        Identity = snapshot.At.Identity;
        return snapshot;
    }

    /// <summary>Notes how a new run is known, so that it can begin again with the same seed before it has a snapshot.</summary>
    public void Begin()
    {
        try { AtomicFile.WriteText(Path.Combine(folder.Path, IdentityFile), JsonSerializer.Serialize(Identity)); }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            events?.Report(new RunWarned($"Nothing can be written to {folder.Path} ({failure.Message}): a stopped run will not be able to go on."));
        }
    }

    /// <summary>Has a snapshot written where the settings ask for one after this step, or where none was written for long.</summary>
    public void SaveIfDue(int step, Func<string?> save)
    {
        var asked = plan.Settings.Snapshots;
        var due = asked.EverySteps is { } every ? step % every == 0
            : asked is { EveryEpochs: null, WithSaves: false } && Stopwatch.GetElapsedTime(lastSaved) > Unasked;
        if (due) save();
    }

    /// <summary>Writes a snapshot. A disk that is full costs the snapshot, never the run: the one before stays.</summary>
    /// <returns>The file; null where it could not be written.</returns>
    public string? Save(Snapshot snapshot)
    {
        lastSaved = Stopwatch.GetTimestamp();
        try
        {
            var path = folder.Add(snapshot);
            events?.Report(new SnapshotSaved(path, snapshot.At.Step));
            Rotate(snapshot.At);
            return path;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            var kept = folder.Newest is { } newest ? $"{Path.GetFileName(newest)} is still there" : "there is none before it";
            events?.Report(new RunWarned($"The snapshot of step {snapshot.At.Step} could not be written: {failure.Message} ({kept}). The run goes on; make room in {folder.Path}."));
            return null;
        }
    }

    // kohya's rotation of states, in which those by step and those by epoch do not meet.
    private void Rotate(RunState at)
    {
        var asked = plan.Settings.Snapshots;
        if (at.Batch > 0)
        {
            if (asked.KeepLastSteps is not { } steps || plan.Settings.Output.SaveEverySteps is not { } every || at.Step % every != 0) return;
            var old = at.Step - steps - 1;
            if (old - old % every is > 0 and var step) folder.Remove(step: step);
        }
        else if (at.Epoch <= plan.Length.Epochs && asked.KeepLastEpochs is { } epochs && plan.Saves.EveryEpochs is { } every && (at.Epoch - 1) % every == 0) folder.Remove(epoch: at.Epoch - 1 - every * epochs);
    }
}
