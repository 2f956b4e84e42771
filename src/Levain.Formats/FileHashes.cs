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
    private const int Digits = 64;

    private readonly ConcurrentDictionary<string, Lazy<Task<string>>> known = new(StringComparer.Ordinal);
    private readonly Lock writing = new();

    /// <summary>sha256 of a whole file, 64 digits, computed in the background from the first time it is asked for; a failure is not kept.</summary>
    /// <exception cref="IOException">The file cannot be read; told by the task.</exception>
    public Task<string> Of(string path)
    {
        var (file, stamp) = StampOf(path);
        if (known.TryGetValue(stamp, out var last) && last is { IsValueCreated: true, Value.IsFaulted: true }) known.TryRemove(new(stamp, last));
        return known.GetOrAdd(stamp, _ => new(() => Task.Run(() => file.Length < Large ? Hashed(path) : OfLarge(path, stamp)))).Value;
    }

    private static string Hashed(string path) => ModelHashes.Sha256(path) is { Length: Digits } hash ? hash : throw new FileNotFoundException(null, path);

    private string OfLarge(string path, string stamp)
    {
        if (Kept().TryGetValue(stamp, out var hash)) return hash;
        hash = Hashed(path);
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
            var read = JsonSerializer.Deserialize<Dictionary<string, string?>>(File.ReadAllText(kept)) ?? [];
            return read.Where(pair => pair.Value is { Length: Digits } hash && hash.All(char.IsAsciiHexDigitLower) && File.Exists(PathOf(pair.Key)) && StampOf(PathOf(pair.Key)).Stamp == pair.Key).ToDictionary(pair => pair.Key, pair => pair.Value!);
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
