using System.Collections.Concurrent;
using System.Globalization;
using System.Text.Json;
using Levain.Core;

namespace Levain.Formats;

/// <summary>sha256 of model files, each computed once as long as its size and time of change stay: hashing gigabytes takes seconds.</summary>
/// <param name="kept">A file in which hashes of large files outlive this process; null keeps none.</param>
public sealed class FileHashes(string? kept = null)
{
    // Below this a file is hashed about as fast as the list is read.
    private const long Large = 256L << 20;

    private readonly ConcurrentDictionary<string, Lazy<Task<string>>> known = new(StringComparer.Ordinal);
    private readonly Lock writing = new();

    /// <summary>sha256 of a whole file, 64 digits, computed in the background from the first time it is asked for.</summary>
    /// <exception cref="IOException">The file cannot be read; told by the task.</exception>
    public Task<string> Of(string path)
    {
        var (file, stamp) = StampOf(path);
        return known.GetOrAdd(stamp, _ => new(() => Task.Run(() => file.Length < Large ? ModelHashes.Sha256(path) : OfLarge(path, stamp)))).Value;
    }

    private string OfLarge(string path, string stamp)
    {
        if (Kept().TryGetValue(stamp, out var hash)) return hash;
        hash = ModelHashes.Sha256(path);
        if (kept is null) return hash;
        try
        {
            lock (writing) AtomicFile.WriteText(kept, JsonSerializer.Serialize(new SortedDictionary<string, string>(Kept(), StringComparer.Ordinal) { [stamp] = hash }));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // the list only saves time
        }
        return hash;
    }

    /// <summary>What earlier processes found, as far as the files are still as they were.</summary>
    private Dictionary<string, string> Kept()
    {
        try
        {
            if (!File.Exists(kept)) return [];
            var read = JsonSerializer.Deserialize<Dictionary<string, string>>(File.ReadAllText(kept)) ?? [];
            return read.Where(pair => File.Exists(PathOf(pair.Key)) && StampOf(PathOf(pair.Key)).Stamp == pair.Key).ToDictionary();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            return [];
        }
    }

    private static (FileInfo File, string Stamp) StampOf(string path)
    {
        var file = new FileInfo(path);
        return (file, string.Create(CultureInfo.InvariantCulture, $"{(file.Exists ? file.Length : 0)}|{(file.Exists ? file.LastWriteTimeUtc.Ticks : 0)}|{file.FullName}"));
    }

    private static string PathOf(string stamp) => stamp.Split('|', 3) is [_, _, var path] ? path : "";
}
