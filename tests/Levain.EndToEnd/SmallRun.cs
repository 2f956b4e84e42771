using System.Text.Json;
using System.Text.RegularExpressions;

namespace Levain.EndToEnd;

/// <summary>A folder with six pictures of the demo, its tiny base, and a run file of twelve steps that uses chance wherever it can.</summary>
internal sealed partial class SmallRun : IDisposable
{
    public const int Steps = 12;

    // Snapshots of some 30 MB take long enough to be killed in. Steps in the middle of epochs (five batches and a half), two batches each; every dropout, shuffled captions, flips.
    private const string Toml = """
        [model]
        base = "BASE"
        [dataset]
        folder = "pictures"
        resolution = 64
        enable_bucket = false
        shuffle_caption = true
        flip_aug = true
        caption_dropout_rate = 0.2
        [network]
        rank = 48
        dropout = 0.1
        rank_dropout = 0.1
        module_dropout = 0.1
        [optimizer]
        learning_rate = 1e-3
        [training]
        steps = 12
        gradient_accumulation = 2
        seed = 7
        precision = "fp32"
        [noise]
        multires_iterations = 3
        [output]
        name = "small"
        save_every_steps = 5
        [snapshots]
        every_steps = 1
        """;

    public SmallRun()
    {
        foreach (var number in Enumerable.Range(1, 11))
            foreach (var ending in new[] { "png", "txt" })
                Copy($"mochi_{number:00}.{ending}");
        File.WriteAllText(Path.Combine(Folder, "run.toml"), Toml.Replace("BASE", Base));
    }

    /// <summary>Its folder.</summary>
    public string Folder { get; } = Directory.CreateTempSubdirectory("levain-run-").FullName;

    /// <summary>The embedded base.</summary>
    public static string Base { get; } = Path.Combine(Repository, "assets", "demo", "tiny-base.safetensors");

    private static string Repository => Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "../../../../.."));

    public string Snapshots => Path.Combine(Folder, "output", "small-snapshots");

    /// <summary>Makes the run without a break, in a folder of its own.</summary>
    public static IReadOnlyDictionary<string, string> Unbroken(Action<SmallRun>? change = null)
    {
        using var run = new SmallRun();
        change?.Invoke(run);
        var outcome = LevainProcess.Run(run.Folder, "train", "run.toml", "--json");
        if (outcome.Code != 0) throw new InvalidOperationException(outcome.ToString());
        return run.Files();
    }

    /// <summary>Every network file: its bytes of values, and its metadata but for times, the session and the one hash that moves with them: bytes at a fixed place of the file, which the header, as long as the times have digits, pushes along.</summary>
    public IReadOnlyDictionary<string, string> Files() => Directory.EnumerateFiles(Path.Combine(Folder, "output"), "*.safetensors").ToDictionary(file => Path.GetFileName(file)!, Describe);

    /// <summary>Whether a snapshot is being written right now.</summary>
    public bool IsSaving => Directory.Exists(Snapshots) && Directory.EnumerateFiles(Snapshots, ".*.tmp").Any();

    public void Set(string from, string to)
    {
        var path = Path.Combine(Folder, "run.toml");
        File.WriteAllText(path, File.ReadAllText(path).Replace(from, to));
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);

    private void Copy(string name)
    {
        var target = Path.Combine(Folder, "pictures", name);
        Directory.CreateDirectory(Path.GetDirectoryName(target)!);
        File.Copy(Path.Combine(Repository, "assets", "demo", "mochi", name), target);
        File.SetLastWriteTimeUtc(target, DateTime.UnixEpoch);
    }

    private string Describe(string file)
    {
        var bytes = File.ReadAllBytes(file);
        var length = (int)BitConverter.ToInt64(bytes);
        var metadata = JsonDocument.Parse(bytes.AsMemory(8, length)).RootElement.GetProperty("__metadata__").EnumerateObject()
            .Where(pair => !Times().IsMatch(pair.Name)).Select(pair => $"{pair.Name}={pair.Value}").Order(StringComparer.Ordinal);
        return Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(bytes.AsSpan(8 + length))) + "\n" + string.Join("\n", metadata).Replace(Folder, "");
    }

    [GeneratedRegex("date$|_at$|session_id|sshs_legacy_hash")]
    private static partial Regex Times();
}
