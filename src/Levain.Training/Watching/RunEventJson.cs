using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Levain.Training.Watching;

/// <summary>Run events as JSON objects in one line, for log files and for programs that watch a run over a pipe.</summary>
public static class RunEventJson
{
    private static readonly JsonSerializerOptions Options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The event as <c>{"event": NAME, "time": ISO 8601, …}</c>. A number that is not finite becomes null.</summary>
    public static string ToJson(RunEvent value, DateTimeOffset now)
    {
        var json = new JsonObject { ["event"] = Name(value), ["time"] = now.ToString("O") };
        switch (value)
        {
            case Preparing preparing:
                (json["phase"], json["done"], json["total"]) = (preparing.Phase, preparing.Done, preparing.Total);
                break;
            case StepDone step:
                (json["step"], json["steps"], json["epoch"], json["epochs"]) = (step.Step, step.Steps, step.Epoch, step.Epochs);
                (json["loss"], json["averageLoss"], json["scalars"]) = (Number(step.Loss), Number(step.AverageLoss), Scalars(step.Scalars));
                break;
            case EpochDone epoch:
                (json["epoch"], json["scalars"]) = (epoch.Epoch, Scalars(epoch.Scalars));
                break;
            case Validated judged:
                (json["step"], json["validationLoss"], json["best"], json["scalars"]) = (judged.Step, Number(judged.Loss), judged.Best, Scalars(judged.Scalars));
                break;
            case NetworkSaved network:
                (json["path"], json["final"]) = (network.Path, network.Final);
                break;
            case SnapshotSaved snapshot:
                (json["path"], json["step"]) = (snapshot.Path, snapshot.Step);
                break;
            case PictureDrawn picture:
                (json["path"], json["step"]) = (picture.Path, picture.Step);
                break;
            case RunWarned warning:
                json["message"] = warning.Message;
                break;
        }
        return json.ToJsonString(Options);
    }

    /// <summary>A step or a judgement as <see cref="ToJson"/> wrote it, for what is drawn of a run that goes on; null for all else. A judgement does not tell its epoch.</summary>
    /// <exception cref="JsonException">It is no JSON.</exception>
    public static RunEvent? Read(string json)
    {
        using var document = JsonDocument.Parse(json);
        var line = document.RootElement;
        int whole(string name) => line.GetProperty(name).GetInt32();
        double number(string name) => NumberOf(line.GetProperty(name));
        return line.TryGetProperty("event", out var name) ? name.GetString() switch
        {
            "step" => new StepDone(whole("step"), whole("steps"), whole("epoch"), whole("epochs"), number("loss"), number("averageLoss"), ScalarsOf(line.GetProperty("scalars"))),
            "validation" => new Validated(whole("step"), null, number("validationLoss"), line.GetProperty("best").GetBoolean(), ScalarsOf(line.GetProperty("scalars"))),
            _ => null,
        } : null;
    }

    private static IReadOnlyList<KeyValuePair<string, double>> ScalarsOf(JsonElement scalars) =>
        [.. scalars.EnumerateObject().SelectMany(tag => (tag.Value.ValueKind is JsonValueKind.Array ? tag.Value.EnumerateArray().AsEnumerable() : [tag.Value]).Select(value => KeyValuePair.Create(tag.Name, NumberOf(value))))];

    private static double NumberOf(JsonElement value) => value.ValueKind is JsonValueKind.Null ? double.NaN : value.GetDouble();

    /// <summary>The event's name in JSON: <c>step</c>, <c>epoch</c>, <c>validation</c>, <c>network</c>, <c>snapshot</c>, <c>picture</c>, <c>warning</c>, <c>preparing</c>.</summary>
    private static string Name(RunEvent value) => value switch
    {
        Preparing => "preparing",
        StepDone => "step",
        EpochDone => "epoch",
        Validated => "validation",
        NetworkSaved => "network",
        SnapshotSaved => "snapshot",
        PictureDrawn => "picture",
        RunWarned => "warning",
        _ => value.GetType().Name.ToLowerInvariant(),
    };

    /// <summary>Tag to number; with gradient accumulation one step has several values of a tag, then tag to array.</summary>
    private static JsonObject Scalars(IReadOnlyList<KeyValuePair<string, double>> scalars)
    {
        var json = new JsonObject();
        foreach (var tag in scalars.GroupBy(scalar => scalar.Key, scalar => Number(scalar.Value)))
            json[tag.Key] = tag.Count() == 1 ? tag.Single() : new JsonArray([.. tag]);
        return json;
    }

    private static JsonNode? Number(double value) => double.IsFinite(value) ? JsonValue.Create(value) : null;
}
