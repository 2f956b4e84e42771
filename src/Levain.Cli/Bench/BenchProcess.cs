using System.Diagnostics;
using System.Text.Json;
using Levain.Models;

namespace Levain.Cli.Bench;

/// <summary>Runs one bench in a process of its own: its peak of memory is nobody else's, and what it warmed up is gone afterwards.</summary>
internal static class BenchProcess
{
    private static readonly JsonSerializerOptions Reading = new(JsonSerializerDefaults.Web);

    /// <summary>Readings of <c>levain bench …</c> with these words.</summary>
    /// <exception cref="EngineException">It failed; the message is its own.</exception>
    public static IReadOnlyList<BenchRow> Run(IEnumerable<string> arguments, CancellationToken stop)
    {
        using var process = Process.Start(new ProcessStartInfo(Program, [.. Host, "bench", .. arguments, "--json"]) { RedirectStandardOutput = true })
            ?? throw new InvalidOperationException($"{Program} did not start.");
        using var killing = stop.Register(() => process.Kill(entireProcessTree: true));
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        stop.ThrowIfCancellationRequested();
        if (process.ExitCode != ExitCode.Done) throw new EngineException($"the bench process ended with code {process.ExitCode}{Reason(process.ExitCode)}. {text.Trim()}");
        return JsonSerializer.Deserialize<Result>(text, Reading)!.Rows;
    }

    private static string Program => Environment.ProcessPath!;

    // `dotnet levain.dll` has another program than `levain`.
    private static string[] Host => Path.GetFileNameWithoutExtension(Program) == "dotnet" ? [Environment.GetCommandLineArgs()[0]] : [];

    // 128 + SIGKILL: nobody but the kernel's out-of-memory killer does that.
    private static string Reason(int code) => code == 137 ? ": it was killed, most likely for want of memory" : "";

    /// <summary>The JSON of <c>levain bench</c>.</summary>
    private sealed record Result(IReadOnlyList<BenchRow> Rows);
}
