using Levain.Training.Settings;

namespace Levain.Training;

/// <summary>What an earlier start of a run left behind: all that has to be known before an engine is started to go on with it.</summary>
/// <param name="Seed">Its seed, drawn or given.</param>
/// <param name="Step">Steps made in its newest snapshot; 0 where it has none yet.</param>
/// <param name="Machine">What was chosen for the machine then (threads, precision …): chosen again, the same bits come out.</param>
public sealed record EarlierRun(long Seed, int Step, IReadOnlyDictionary<string, string> Machine)
{
    /// <summary>Looks in a run's output folder; null where it was never started.</summary>
    /// <exception cref="RunException">The newest snapshot is of another version.</exception>
    /// <exception cref="Core.CheckpointException">The newest snapshot is damaged.</exception>
    public static EarlierRun? Find(OutputSettings output)
    {
        if (RunSnapshots.FindIdentity(output) is not { } identity) return null;
        if (new SnapshotFolder(RunSnapshots.FolderOf(output), 1).Newest is not { } newest) return new(identity.Seed, 0, identity.Machine ?? new Dictionary<string, string>());
        var (step, machine) = Snapshot.ReadHead(newest);
        return new(identity.Seed, step, machine);
    }
}
