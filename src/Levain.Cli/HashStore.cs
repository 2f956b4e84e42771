using Levain.Formats;

namespace Levain.Cli;

/// <summary>Hashes of checkpoints that commands share, in the user's cache folder: <c>levain/hashes.json</c> under <c>XDG_CACHE_HOME</c> or <c>~/.cache</c>, on Windows under the local application data.</summary>
internal static class HashStore
{
    private const string File = "hashes.json", Folder = "levain", UnixCache = ".cache", CacheVariable = "XDG_CACHE_HOME";

    /// <summary>The hashes.</summary>
    public static FileHashes Hashes { get; } = new(Place());

    private static string? Place()
    {
        var root = OperatingSystem.IsWindows() ? Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData)
            : Environment.GetEnvironmentVariable(CacheVariable) is { Length: > 0 } cache ? cache
            : Environment.GetFolderPath(Environment.SpecialFolder.UserProfile) is { Length: > 0 } home ? Path.Combine(home, UnixCache) : "";
        return root.Length == 0 ? null : Path.Combine(root, Folder, File);
    }
}
