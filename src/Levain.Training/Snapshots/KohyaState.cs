using System.Globalization;
using System.Text.RegularExpressions;

namespace Levain.Training;

/// <summary>Finds our snapshot behind the name of a state folder of kohya's: <c>NAME-step00000008-state</c>, <c>NAME-000002-state</c>, <c>NAME-state</c>.</summary>
internal static partial class KohyaState
{
    /// <summary>The snapshot that <c>--resume</c> names: a snapshot itself, a folder of snapshots (the newest), or one by the name that kohya gives its state; null where there is none.</summary>
    public static string? Find(string path)
    {
        if (File.Exists(path)) return path;
        if (Directory.Exists(path) && new SnapshotFolder(path, 1).Newest is { } newest) return newest;
        if (Name().Match(Path.GetFileName(Path.TrimEndingDirectorySeparator(path))) is not { Success: true } name) return null;
        string Folder(string of) => Path.Combine(Path.GetDirectoryName(Path.GetFullPath(path))!, of + "-snapshots");
        var folder = Folder(name.Groups["name"].Value);
        // Without an output name kohya calls states "at" a step, of an "epoch" and "last"; ours lie together.
        if (!Directory.Exists(folder) && name.Groups["name"].Value == (name.Groups["step"].Success ? "at" : name.Groups["epoch"].Success ? "epoch" : null)) folder = Folder("last");
        if (!Directory.Exists(folder)) return null;
        if (name.Groups["step"] is { Success: true } step) return First(folder, $"step{step.Value}-*.safetensors");
        // The state of an epoch is taken when the next one begins.
        if (name.Groups["epoch"] is { Success: true } epoch) return First(folder, $"step*-{int.Parse(epoch.Value, CultureInfo.InvariantCulture) + 1:D4}-000000.safetensors");
        return new SnapshotFolder(folder, 1).Newest;
    }

    /// <summary>Whether a folder is a state written by kohya itself.</summary>
    public static bool IsKohyas(string path) => File.Exists(Path.Combine(path, "train_state.json"));

    // Of a step that ends an epoch there may be two: the one taken right after it counts.
    private static string? First(string folder, string pattern) => Directory.EnumerateFiles(folder, pattern)
        .OrderByDescending(file => file.EndsWith("-000000.safetensors", StringComparison.Ordinal)).ThenBy(file => file, StringComparer.Ordinal).LastOrDefault();

    [GeneratedRegex(@"^(?<name>.+?)(-step(?<step>\d{8})|-(?<epoch>\d{6}))?-state$", RegexOptions.ExplicitCapture)]
    private static partial Regex Name();
}
