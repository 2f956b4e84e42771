using System.Globalization;
using System.Text.RegularExpressions;

namespace Levain.Generation;

/// <summary>A network as it was at some point of its training.</summary>
/// <param name="Path">The file.</param>
/// <param name="Label">What tells it from the others: <c>epoch 2</c>, <c>step 500</c>, <c>final</c>.</param>
public sealed record NetworkEpoch(string Path, string Label);

/// <summary>Finds what a run saved on the way, by kohya's file names: <c>NAME-000002</c>, <c>NAME-step00000500</c>, and NAME itself at the end.</summary>
public static partial class NetworkEpochs
{
    private const string Final = "final";

    /// <summary>The file and its siblings in the order of training: steps, then epochs, then the final one.</summary>
    /// <param name="path">Any file of the run.</param>
    /// <param name="newest">How many, counted from the end; null for all.</param>
    public static IReadOnlyList<NetworkEpoch> Beside(string path, int? newest = null)
    {
        var (folder, extension) = (System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path))!, System.IO.Path.GetExtension(path));
        var name = Told(System.IO.Path.GetFileNameWithoutExtension(path)).Name;
        var found = Directory.EnumerateFiles(folder, $"{name}*{extension}").Select(file => (File: file, Told: Told(System.IO.Path.GetFileNameWithoutExtension(file))))
            .Where(file => file.Told.Name == name).OrderBy(file => file.Told.Kind).ThenBy(file => file.Told.Number)
            .Select(file => new NetworkEpoch(file.File, file.Told.Kind switch { 0 => $"step {file.Told.Number}", 1 => $"epoch {file.Told.Number}", _ => Final })).ToList();
        return newest is { } most && found.Count > most ? found[^most..] : found;
    }

    private static (string Name, int Kind, int Number) Told(string file)
    {
        if (Step().Match(file) is { Success: true } step) return (step.Groups[1].Value, 0, Number(step));
        return Epoch().Match(file) is { Success: true } epoch ? (epoch.Groups[1].Value, 1, Number(epoch)) : (file, 2, 0);
    }

    private static int Number(Match match) => int.Parse(match.Groups[2].Value, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^(.+)-step(\d{8})$")]
    private static partial Regex Step();

    [GeneratedRegex(@"^(.+)-(\d{6})$")]
    private static partial Regex Epoch();
}
