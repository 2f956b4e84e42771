using System.Text.Json;
using System.Text.RegularExpressions;
using Levain.Core;
using Levain.Training.Kohya;
using Levain.Training.Settings;

namespace Levain.Tests.Training.Kohya;

/// <summary>The recorded runs of <c>tests/golden/training</c>: every JSON file there with <c>args</c>.</summary>
internal static partial class RecordedRuns
{
    // What another run wrote: kept for the runs that are begun from.
    [GeneratedRegex(@"\$RUNS/(\w+)/out/\1\.safetensors")]
    private static partial Regex OtherRun();

    /// <summary>Names of all of them.</summary>
    public static IEnumerable<string> Names => Directory.EnumerateFiles(Golden.Path("training"), "*.json").Order(StringComparer.Ordinal)
        .Where(file => Golden.Json("training", Path.GetFileName(file)) is { ValueKind: JsonValueKind.Object } run && run.TryGetProperty("args", out _))
        .Select(file => Path.GetFileNameWithoutExtension(file));

    /// <summary>The recording.</summary>
    public static JsonElement Load(string name) => Golden.Json("training", name + ".json");

    /// <summary>Its settings, checked; <c>$DATASET</c> is the recorded folder, <c>$MODEL</c> and <c>$OUT</c> what is given here.</summary>
    public static (RunSettings Settings, Problems Problems) Read(JsonElement run, string model = "/models/$MODEL.safetensors", string output = "/out", string? dataset = null, string others = "/runs")
    {
        string Place(string text) => OtherRun().Replace(text, match => Golden.Path("training", $"{match.Groups[1].Value}.lora.safetensors")).Replace("$DATASET", dataset ?? Golden.Path("training", "dataset")).Replace("$OUT", output).Replace("$RUNS", others)
            .Replace("$MODEL", model.Replace("$MODEL", run.GetProperty("model").GetString()));
        var toml = run.TryGetProperty("toml", out var file) && file.ValueKind == JsonValueKind.String ? Place(file.GetString()!) : "";
        var (settings, problems) = KohyaArguments.Read([.. run.GetProperty("args").EnumerateArray().Select(word => Place(word.GetString()!))],
            run.GetProperty("trainer").GetString()!, path => path == "$TOML" ? toml : File.ReadAllText(path));
        settings.Check(problems);
        return (settings, problems);
    }
}
