using Levain.Formats;

namespace Levain.Training;

/// <summary>How a run is entered.</summary>
public sealed record RunOptions
{
    /// <summary>Goes on from the newest snapshot; without one, from the beginning with the same seed.</summary>
    public bool Resume { get; init; }

    /// <summary>Tells when the run began and when files were written, for their metadata. Default: the system's clock.</summary>
    public TimeProvider Clock { get; init; } = TimeProvider.System;

    /// <summary>The number that a new run is known by in its files' metadata (<c>ss_session_id</c>), 0 to 2^32 − 1; drawn by the application.</summary>
    public long Session { get; init; }

    /// <summary>Hashes of the base for the metadata; hashing one of 2 GB takes a second from the first steps, unless an earlier run has kept it here. Default: known to this run only.</summary>
    public FileHashes Hashes { get; init; } = new();

    /// <summary>What was chosen for this machine (threads, algorithms, recomputation): kept in snapshots and compared when a run goes on.</summary>
    public IReadOnlyDictionary<string, string> Machine { get; init; } = new Dictionary<string, string>();

    /// <summary>Writes a snapshot's file whole or not at all; null: <see cref="Core.AtomicFile.Write"/>. Tests put failing disks here.</summary>
    internal Action<string, Action<Stream>>? Write { get; init; }
}
