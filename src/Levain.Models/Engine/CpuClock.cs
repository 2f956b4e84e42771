using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Levain.Models;

/// <summary>Time this thread has spent computing, so that a busy neighbour does not change what a measurement says; elsewhere than on Linux, time passed.</summary>
public static partial class CpuClock
{
    private const int ThreadCpuTime = 3;     // CLOCK_THREAD_CPUTIME_ID, time.h

    /// <summary>Seconds since some fixed moment.</summary>
    public static double Seconds => OperatingSystem.IsLinux() && clock_gettime(ThreadCpuTime, out var now) == 0
        ? now.Seconds + now.Nanoseconds * 1e-9
        : Stopwatch.GetElapsedTime(0).TotalSeconds;

    [LibraryImport("libc")]
    private static partial int clock_gettime(int clock, out TimeSpec time);

    [StructLayout(LayoutKind.Sequential)]
    private struct TimeSpec
    {
        public nint Seconds, Nanoseconds;
    }
}
