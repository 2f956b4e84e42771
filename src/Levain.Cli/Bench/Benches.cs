using Levain.Core;

namespace Levain.Cli.Bench;

/// <summary>Everything <c>levain bench</c> can measure. One file adds one.</summary>
[Catalog]
internal static partial class Benches
{
    /// <summary>All benches, in name order.</summary>
    public static partial IReadOnlyList<Bench> All { get; }
}

/// <summary>One thing that is measured.</summary>
/// <param name="Name">Its word on the command line.</param>
/// <param name="Summary">What it does, in a line.</param>
/// <param name="Base">The base it needs, with made-up weights.</param>
/// <param name="Lean">Whether it has a reading of its own with everything recomputed.</param>
/// <param name="Measure">Measures; a process of its own runs it, so that peaks of memory are its own.</param>
internal sealed record Bench(string Name, string Summary, SyntheticBase? Base, bool Lean, Func<BenchScene, IEnumerable<BenchRow>> Measure)
{
    /// <summary>Whether it takes so long that it is measured only where it is named.</summary>
    public bool OnRequest { get; init; }

    /// <summary>Whether bf16 is worth a reading of its own, where the processor is fast at it.</summary>
    public bool Halves => Base == SyntheticBase.Full && !FromStart;

    /// <summary>Whether time counts from the start of the program: the floor is then not measured, which takes seconds and warms the library up.</summary>
    public bool FromStart { get; init; }
}

/// <summary>One reading.</summary>
/// <param name="What">What was measured, with its sizes.</param>
/// <param name="Seconds">The fastest of several.</param>
internal sealed record BenchRow(string What, double Seconds)
{
    /// <summary>Arithmetic in it, TFLOP; null where speed is not a matter of arithmetic.</summary>
    public double? TeraFlop { get; init; }

    /// <summary>fp32, bf16, and how memory was spent.</summary>
    public string How { get; init; } = "";

    /// <summary>The machine's best fp32 rate, measured around and between the readings, GFLOP/s; 0 where it was not measured.</summary>
    public double Floor { get; init; }

    /// <summary>The process's own pages (mapped files apart) at their most, bytes; null where that says nothing.</summary>
    public long? PeakBytes { get; init; }

    /// <summary>Share of the floor that was reached.</summary>
    public double? Share => TeraFlop is { } work && Floor > 0 ? work * 1e3 / Seconds / Floor : null;
}
