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
    private const double BusyPercent = 50;
    private const int KeepExisting = 0;

    /// <summary>Lets threads sleep where other programs keep the processor busy. Call it before libtorch is loaded; a setting of the user's stays.</summary>
    public static void SleepWhereBusy()
    {
        if (!OperatingSystem.IsLinux() || !IsBusy()) return;
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
    private static bool IsBusy()
    {
        const string Pressure = "/proc/pressure/cpu", Field = "some avg10=";
        try
        {
            var line = File.Exists(Pressure) ? File.ReadLines(Pressure).FirstOrDefault() : null;
            return line?.StartsWith(Field, StringComparison.Ordinal) == true
                && double.TryParse(line.AsSpan(Field.Length, line.IndexOf(' ', Field.Length) - Field.Length), CultureInfo.InvariantCulture, out var percent) && percent > BusyPercent;
        }
        catch (Exception refused) when (refused is IOException or UnauthorizedAccessException)
        {
            return false;               // kernels without the accounting
        }
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int setenv(string name, string value, int overwrite);
}
