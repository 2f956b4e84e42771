using System.Text;
using System.Text.Json;

namespace Levain.Training.Watching;

/// <summary>Appends every event of a run to a JSON Lines file, one object a line, as they happen.</summary>
public sealed class JsonLog : IProgress<RunEvent>, IDisposable
{
    private readonly StreamWriter writer;
    private readonly TimeProvider clock;

    private JsonLog(FileStream stream, TimeProvider clock)
    {
        writer = new(stream) { AutoFlush = true, NewLine = "\n" };
        this.clock = clock;
    }

    /// <summary>Starts a log; an older file of the name is replaced.</summary>
    public static JsonLog Create(string path, TimeProvider clock)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        return new(new(path, FileMode.Create, FileAccess.Write, FileShare.Read), clock);
    }

    /// <summary>Goes on with a log as it was after <paramref name="lastStep"/>; starts one where there is none.</summary>
    public static JsonLog Resume(string path, int lastStep, TimeProvider clock)
    {
        if (!File.Exists(path)) return Create(path, clock);
        var keep = Lines(path).TakeWhile(line => line.Step <= lastStep).Sum(line => (long)line.Bytes);
        var stream = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.Read);
        stream.SetLength(keep);
        stream.Seek(0, SeekOrigin.End);
        return new(stream, clock);
    }

    /// <summary>The loss of every step in a log, in order: what a plot needs to go on after a resume.</summary>
    public static IReadOnlyList<LossPoint> Losses(string path) =>
        !File.Exists(path) ? [] : [.. Lines(path).Where(line => line.Loss is not null).Select(line => new LossPoint(line.Step, line.Loss!.Value))];

    /// <summary>The steps and judgements of a log, in order: what a plot over something else than steps needs to go on after a resume.</summary>
    public static IReadOnlyList<RunEvent> Earlier(string path) =>
        !File.Exists(path) ? [] : [.. Lines(path).Select(line => RunEventJson.Read(line.Text)).OfType<RunEvent>()];

    /// <inheritdoc/>
    public void Report(RunEvent value) => writer.WriteLine(RunEventJson.ToJson(value, clock.GetUtcNow()));

    /// <inheritdoc/>
    public void Dispose() => writer.Dispose();

    /// <summary>Whole lines with the step they belong to (a line without one belongs to the step before it); stops at a line cut short.</summary>
    private static IEnumerable<(int Step, double? Loss, int Bytes, string Text)> Lines(string path)
    {
        var step = 0;
        var text = File.ReadAllText(path);
        for (var start = 0; text.IndexOf('\n', start) is >= 0 and var end; start = end + 1)
        {
            var line = text[start..(end + 1)];
            if (!TryRead(line, out var at, out var loss)) yield break;
            step = at ?? step;
            yield return (step, loss, Encoding.UTF8.GetByteCount(line), line);
        }
    }

    private static bool TryRead(string line, out int? step, out double? loss)
    {
        (step, loss) = (null, null);
        try
        {
            using var json = JsonDocument.Parse(line);
            if (json.RootElement.TryGetProperty("step", out var at)) step = at.GetInt32();
            if (json.RootElement.TryGetProperty("loss", out var value) && value.ValueKind == JsonValueKind.Number) loss = value.GetDouble();
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }
}
