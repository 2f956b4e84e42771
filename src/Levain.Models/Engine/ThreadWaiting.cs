using System.Globalization;
using System.Runtime.InteropServices;

namespace Levain.Models;

/// <summary>How the threads of one operation wait for each other.</summary>
/// <remarks>
/// libgomp's threads spin for about a millisecond at the end of every operation, which is fastest on a quiet machine. On a busy one they burn the
/// time that the thread they wait for needs: a small model then trains three to four times slower than with threads that sleep.
/// </remarks>
internal static partial class ThreadWaiting
{
    private const double BusyPercent = 20, TakenProcessors = 0.5;
    private const int KeepExisting = 0, LookMilliseconds = 50;

    /// <summary>Lets threads sleep where other programs keep the processor busy. Call it before libtorch is loaded; a setting of the user's stays.</summary>
    public static void SleepWhereBusy()
    {
        if (!OperatingSystem.IsLinux() || !WasBusy() || !IsBusy()) return;
        try
        {
            _ = setenv("GOMP_SPINCOUNT", "0", KeepExisting);
        }
        catch (Exception other) when (other is DllNotFoundException or EntryPointNotFoundException)
        {
            // Another C library: threads spin as before.
        }
    }

    // "some avg10=12.34 …": share of the last ten seconds in which a thread had to wait for a processor (kernel.org, accounting/psi).
    private static bool WasBusy()
    {
        const string Field = "some avg10=";
        return FirstLine("/proc/pressure/cpu") is { } line && line.StartsWith(Field, StringComparison.Ordinal)
            && double.TryParse(line.AsSpan(Field.Length, line.IndexOf(' ', Field.Length) - Field.Length), CultureInfo.InvariantCulture, out var percent) && percent > BusyPercent;
    }

    // What was busy a moment ago may have been a run of our own that has just ended: processors that idle now are free.
    private static bool IsBusy()
    {
        var (idle, all) = Times();
        Thread.Sleep(LookMilliseconds);
        var (idleNow, allNow) = Times();
        return IsTaken(idleNow - idle, allNow - all, Environment.ProcessorCount);
    }

    /// <summary>Whether others take more than half a processor: one that is missing is enough for all threads to wait for the one that shares.</summary>
    /// <param name="idle">Time that processors were idle.</param>
    /// <param name="all">Time of all processors together, in the same unit.</param>
    /// <param name="processors">How many there are.</param>
    internal static bool IsTaken(long idle, long all, int processors) => (all - idle) * processors > TakenProcessors * all;

    // "cpu user nice system idle iowait …", of all processors together, in hundredths of a second.
    private static (long Idle, long All) Times()
    {
        const int Idle = 3;
        var fields = (FirstLine("/proc/stat") ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries).Skip(1).Select(field => long.TryParse(field, CultureInfo.InvariantCulture, out var ticks) ? ticks : 0).ToArray();
        return fields.Length > Idle ? (fields[Idle], fields.Sum()) : default;
    }

    // Null on kernels without the accounting.
    private static string? FirstLine(string path)
    {
        try
        {
            return File.Exists(path) ? File.ReadLines(path).FirstOrDefault() : null;
        }
        catch (Exception refused) when (refused is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int setenv(string name, string value, int overwrite);
}
