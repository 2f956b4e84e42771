using System.Diagnostics;
using Levain.Models;

namespace Levain.Cli.Bench;

/// <summary>Where a bench runs: the engine as chosen, the base, and the floor, measured again around every reading because machines have neighbours.</summary>
internal sealed class BenchScene : IDisposable
{
    private readonly PrivatePeak peak = new();

    /// <param name="compute">How to compute.</param>
    /// <param name="path">The base's file; empty for a bench without one.</param>
    /// <param name="folder">A folder to write into; the parent process deletes it.</param>
    /// <param name="repeats">Readings; the fastest counts.</param>
    /// <param name="cpuTime">Counts the thread's processor time instead of time passed.</param>
    public BenchScene(Compute compute, string path, string folder, int repeats, bool cpuTime)
    {
        (Compute, BasePath, Folder, Repeats) = (compute, path, folder, repeats);
        Clock = cpuTime ? () => CpuClock.Seconds : () => Stopwatch.GetElapsedTime(0).TotalSeconds;
    }

    /// <summary>Seconds since some moment.</summary>
    public Func<double> Clock { get; }

    /// <summary>How to compute.</summary>
    public Compute Compute { get; }

    /// <summary>The base's file.</summary>
    public string BasePath { get; }

    /// <summary>A folder to write into.</summary>
    public string Folder { get; }

    /// <summary>Readings of each thing.</summary>
    public int Repeats { get; }

    /// <summary>Whether the floor is measured; default true.</summary>
    public bool HasFloor { get; init; } = true;

    /// <summary>The best fp32 rate seen so far, GFLOP/s.</summary>
    public double Floor { get; private set; }

    /// <summary>The process's own pages at their most so far, bytes.</summary>
    public long PeakBytes => peak.Bytes;

    /// <summary>Watches for a new peak of memory from here on.</summary>
    public void ForgetPeak() => peak.Forget();

    /// <summary>Measures the floor once more, where it is wanted.</summary>
    public void MeasureFloor()
    {
        if (HasFloor) Floor = Math.Max(Floor, Models.Floor.Measure(Compute.Device, Clock).Best);
    }

    /// <summary>Seconds of the fastest of <see cref="Repeats"/> runs, the floor measured before, between and after them. The first run warms up and does not count.</summary>
    public double Fastest(Action work) => Fastest(work, MeasureFloor);

    /// <summary>The same of what waits for memory and not for arithmetic, so that no floor tells how fast it could be: without measuring it.</summary>
    public double FastestAlone(Action work) => Fastest(work, () => { });

    private double Fastest(Action work, Action between)
    {
        work();
        var best = double.MaxValue;
        for (var i = 0; i < Repeats; i++)
        {
            between();
            var start = Clock();
            work();
            best = Math.Min(best, Clock() - start);
        }
        between();
        return best;
    }

    /// <inheritdoc/>
    public void Dispose() => peak.Dispose();
}
