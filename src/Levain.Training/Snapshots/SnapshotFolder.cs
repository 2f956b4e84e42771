using Levain.Core;

namespace Levain.Training;

/// <summary>The snapshots of a run: files that are there whole or not at all, and a pointer to the newest, which moves last.</summary>
internal sealed class SnapshotFolder
{
    private const string Pointer = "newest", Extension = ".safetensors";
    private readonly Action<string, Action<Stream>> write;

    /// <param name="path">The folder; made with the first snapshot.</param>
    /// <param name="keep">Newest snapshots that stay.</param>
    /// <param name="write">Writes a file whole or not at all.</param>
    public SnapshotFolder(string path, int keep, Action<string, Action<Stream>>? write = null) =>
        (Path, Keep, this.write) = (path, keep, write ?? AtomicFile.Write);

    /// <summary>The folder.</summary>
    public string Path { get; }

    /// <summary>Newest snapshots that stay.</summary>
    public int Keep { get; }

    /// <summary>The newest snapshot; null where there is none.</summary>
    public string? Newest
    {
        get
        {
            var pointer = System.IO.Path.Combine(Path, Pointer);
            if (!File.Exists(pointer)) return null;
            var snapshot = System.IO.Path.Combine(Path, System.IO.Path.GetFileName(File.ReadAllText(pointer).Trim()));
            return File.Exists(snapshot) ? snapshot : null;
        }
    }

    /// <summary>Writes a snapshot, then points to it, then removes old ones. Whatever goes wrong on the way, the one before stays usable.</summary>
    /// <returns>The file.</returns>
    /// <exception cref="IOException">The disk is full, or the folder cannot be written to.</exception>
    public string Add(Snapshot snapshot)
    {
        var name = $"step{snapshot.At.Step:D8}-{snapshot.At.Epoch:D4}-{snapshot.At.Batch:D6}{Extension}";
        var path = System.IO.Path.Combine(Path, name);
        write(path, snapshot.Write);
        write(System.IO.Path.Combine(Path, Pointer), stream => stream.Write(System.Text.Encoding.UTF8.GetBytes(name)));
        RemoveOld(path);
        return path;
    }

    /// <summary>Removes snapshots taken after a step within an epoch, or at an epoch's end.</summary>
    public void Remove(int? step = null, int? epoch = null)
    {
        var (file, atEnd) = step is not null ? ($"step{step:D8}-*", false) : ($"step*-{epoch + 1:D4}-000000", true);
        foreach (var old in new DirectoryInfo(Path).EnumerateFiles(file + Extension).Where(old => old.Name.EndsWith("-000000" + Extension, StringComparison.Ordinal) == atEnd)) Delete(old);
    }

    private void RemoveOld(string newest)
    {
        // By time of writing: a run begun anew in the same folder has smaller steps than what it replaces.
        var old = new DirectoryInfo(Path).EnumerateFiles("step*" + Extension).Where(file => file.FullName != System.IO.Path.GetFullPath(newest))
            .OrderByDescending(file => file.LastWriteTimeUtc).ThenByDescending(file => file.Name, StringComparer.Ordinal).Skip(Keep - 1);
        foreach (var file in old.Concat(new DirectoryInfo(Path).EnumerateFiles(".*.tmp"))) Delete(file);
    }

    private static void Delete(FileInfo file)
    {
        try { file.Delete(); }
        catch (IOException) { }                     // someone is reading it; the next snapshot tries again
        catch (UnauthorizedAccessException) { }
    }
}
