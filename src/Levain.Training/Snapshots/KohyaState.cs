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
        var folder = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(path))!, name.Groups["name"].Value + "-snapshots");
        if (!Directory.Exists(folder)) return null;
        if (name.Groups["step"] is { Success: true } step) return First(folder, $"step{step.Value}-*.safetensors");
        // The state of an epoch is taken when the next one begins.
        if (name.Groups["epoch"] is { Success: true } epoch) return First(folder, $"step*-{int.Parse(epoch.Value, CultureInfo.InvariantCulture) + 1:D4}-000000.safetensors");
        return new SnapshotFolder(folder, 1).Newest;
    }

    /// <summary>Whether a folder is a state written by kohya itself.</summary>
    public static bool IsKohyas(string path) => File.Exists(Path.Combine(path, "train_state.json"));

    private static string? First(string folder, string pattern) => Directory.EnumerateFiles(folder, pattern).Order(StringComparer.Ordinal).LastOrDefault();

    [GeneratedRegex(@"^(?<name>.+?)(-step(?<step>\d{8})|-(?<epoch>\d{6}))?-state$", RegexOptions.ExplicitCapture)]
    private static partial Regex Name();
}
