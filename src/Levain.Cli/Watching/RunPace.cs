using System.Globalization;
using Levain.Training;
using Levain.Training.Watching;

namespace Levain.Cli.Watching;

/// <summary>What a watcher of a run wants to know beside the event itself: smoothed loss, speed, time left, memory.</summary>
internal sealed class RunPace(TimeProvider clock)
{
    private const int Window = 50;                       // steps the speed is measured over
    private const double Gigabyte = 1e9;
    private static readonly TimeSpan MemoryEvery = TimeSpan.FromSeconds(1);
    private readonly SmoothedLoss loss = new();
    private readonly Queue<long> times = new();
    private long memoryAt;
    private double memory;

    /// <summary>Takes in a step.</summary>
    public void Add(StepDone step)
    {
        loss.Next(step.Loss);
        times.Enqueue(clock.GetTimestamp());
        if (times.Count > Window) times.Dequeue();
        Last = step;
    }

    /// <summary>The newest step; null before the first.</summary>
    public StepDone? Last { get; private set; }

    /// <summary>Steps a second over the last steps; NaN before the second one.</summary>
    public double Speed => times.Count < 2 ? double.NaN : (times.Count - 1) / clock.GetElapsedTime(times.Peek(), times.Last()).TotalSeconds;

    /// <summary>Time until the last step at that speed, or null while unknown.</summary>
    public TimeSpan? Left => Last is { } step && double.IsFinite(Speed) && Speed > 0 ? TimeSpan.FromSeconds((step.Steps - step.Step) / Speed) : null;

    /// <summary>The run's state in one line: <c>epoch 2/10 · loss 0.0831 · lr 3.0e-3 · 2.31 it/s · 0:41 left · 1.2 GB</c>.</summary>
    public override string ToString()
    {
        if (Last is not { } step) return "";
        var rate = step.Scalars.Where(scalar => scalar.Key.StartsWith("lr/", StringComparison.Ordinal)).Select(scalar => (double?)scalar.Value).FirstOrDefault();
        string?[] parts =
        [
            $"epoch {step.Epoch}/{step.Epochs}", Text($"loss {loss.Value:0.0000}"), rate is null ? null : Text($"lr {rate:0.0#e-0}"),
            double.IsNaN(Speed) ? null : Speed >= 1 ? Text($"{Speed:0.00} it/s") : Text($"{1 / Speed:0.00} s/it"),
            Left is { } left ? $"{Duration(left)} left" : null, Text($"{Memory():0.0} GB"),
        ];
        return string.Join(" · ", parts.Where(part => part is not null));
    }

    /// <summary>1:02:03, or 2:03 below an hour.</summary>
    public static string Duration(TimeSpan time) => time.TotalHours >= 1
        ? Text($"{(int)time.TotalHours}:{time.Minutes:00}:{time.Seconds:00}")
        : Text($"{time.Minutes}:{time.Seconds:00}");

    private double Memory()
    {
        if (memoryAt == 0 || clock.GetElapsedTime(memoryAt) > MemoryEvery) (memory, memoryAt) = (PrivateBytes() / Gigabyte, clock.GetTimestamp());
        return memory;
    }

    /// <summary>Bytes this process holds that are not file-mapped.</summary>
    private static double PrivateBytes()
    {
        const string Field = "RssAnon:";
        const double Kilobyte = 1024;
        const string Status = "/proc/self/status";
        if (File.Exists(Status) && File.ReadLines(Status).FirstOrDefault(line => line.StartsWith(Field, StringComparison.Ordinal)) is { } line)
            return double.Parse(line[Field.Length..].Replace("kB", "", StringComparison.Ordinal), CultureInfo.InvariantCulture) * Kilobyte;
        return Environment.WorkingSet;
    }

    private static string Text(FormattableString text) => FormattableString.Invariant(text);
}
