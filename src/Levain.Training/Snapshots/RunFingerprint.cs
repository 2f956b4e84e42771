using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Levain.Data;
using Levain.Training.Settings;

namespace Levain.Training;

/// <summary>What a run is made of, part by part, so that a resumed one can say what has changed since.</summary>
/// <param name="Base">The base model's file or folder: path, bytes and time of change of each file.</param>
/// <param name="Settings">The run file's lines that decide the result, table by table: <c>network.rank</c> and its value.</param>
/// <param name="Pictures">Each picture with the bytes of its file, its caption and its repeats.</param>
internal sealed record RunFingerprint(IReadOnlyDictionary<string, string> Base, IReadOnlyDictionary<string, string> Settings, IReadOnlyDictionary<string, string> Pictures)
{
    // A resumed run may be longer, and may write, log and draw differently: none of it changes a step that was made.
    private static readonly string[] Free = ["output.", "snapshots.", "samples.", "log.", "validation.", "training.steps", "training.epochs", "training.threads", "training.memory", "cache."];

    /// <summary>Takes the fingerprint of a run.</summary>
    public static RunFingerprint Of(RunSettings settings, Dataset dataset) =>
        new(Files([settings.Model.Base, settings.Model.Vae, settings.Network.Weights, .. settings.Model.Networks.Select(network => network.File)]), Lines(settings), Images(dataset));

    /// <summary>What differs in another run, each in a sentence; empty where it can go on.</summary>
    public IReadOnlyList<string> Differences(RunFingerprint now) =>
    [
        .. Compare(Base, now.Base, "base file"),
        .. Compare(Settings, now.Settings, "setting"),
        .. Compare(Pictures, now.Pictures, "picture"),
    ];

    private static IEnumerable<string> Compare(IReadOnlyDictionary<string, string> then, IReadOnlyDictionary<string, string> now, string what)
    {
        foreach (var (name, value) in then)
            if (!now.TryGetValue(name, out var other)) yield return what == "setting" ? $"{name} was {value} and is not given now." : $"The {what} {name} is gone.";
            else if (other != value) yield return what == "setting" ? $"{name} was {value} and is {other} now." : $"The {what} {name} has changed.";
        foreach (var name in now.Keys.Except(then.Keys))
            yield return what == "setting" ? $"{name} was not given and is {now[name]} now." : $"The {what} {name} is new.";
    }

    private static Dictionary<string, string> Lines(RunSettings settings)
    {
        var lines = new Dictionary<string, string>();
        var table = "";
        var tables = new Dictionary<string, int>();
        foreach (var line in settings.ToToml("/").Split('\n').Select(line => line.Trim()).Where(line => line.Length > 0 && line[0] != '#'))
        {
            if (line[0] == '[')
            {
                table = line.Trim('[', ']', ' ') + ".";
                if (line.StartsWith("[[", StringComparison.Ordinal)) table = $"{table[..^1]}[{tables[table] = tables.GetValueOrDefault(table, -1) + 1}].";
                continue;
            }
            var equals = line.IndexOf('=');
            var name = table + (equals < 0 ? line : line[..equals].Trim());
            if (!Free.Any(free => name.StartsWith(free, StringComparison.Ordinal))) lines[name] = equals < 0 ? "" : line[(equals + 1)..].Trim();
        }
        return lines;
    }

    private static Dictionary<string, string> Images(Dataset dataset) => dataset.Parts
        .SelectMany((part, p) => part.Images.Select(image => (Name: $"{p}/{image.Key}", Image: image)))
        .GroupBy(pair => pair.Name).ToDictionary(group => group.Key, group => string.Join(';', group.Select(pair =>
            Digest($"{FileOf(pair.Image.Path)}|{pair.Image.Caption}|{pair.Image.Repeats}|{pair.Image.IsReg}"))));

    private static Dictionary<string, string> Files(IEnumerable<string?> paths) => paths.OfType<string>()
        .SelectMany(path => Directory.Exists(path) ? Directory.EnumerateFiles(path, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal) : Enumerable.Repeat(path, 1))
        .Distinct().ToDictionary(path => path, FileOf);

    // Bytes and time of change: a hash of a 4 GB file would cost more than opening the model does.
    private static string FileOf(string path)
    {
        var file = new FileInfo(path);
        return file.Exists ? string.Create(CultureInfo.InvariantCulture, $"{file.Length}@{file.LastWriteTimeUtc.Ticks}") : "missing";
    }

    private static string Digest(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)))[..16];
}
