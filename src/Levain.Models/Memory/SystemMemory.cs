using System.Globalization;

namespace Levain.Models;

/// <summary>The machine's memory, as far as this process may use it.</summary>
public static class SystemMemory
{
    /// <summary>Bytes that can be had without swapping.</summary>
    public static long Available
    {
        get
        {
            var memory = GC.GetGCMemoryInfo();
            var limit = memory.TotalAvailableMemoryBytes;           // a container's limit, where there is one
            return FromSystem() is { } free ? Math.Min(free, limit) : Math.Max(0, limit - memory.MemoryLoadBytes);
        }
    }

    /// <summary>Bytes of this process's own pages (mapped files apart), now and at most so far; null where the system does not tell.</summary>
    public static (long Now, long Peak)? Private
    {
        get
        {
            const string Status = "/proc/self/status";
            if (!File.Exists(Status)) return null;
            var fields = File.ReadLines(Status).Select(line => line.Split(':', 2)).ToDictionary(pair => pair[0], pair => pair[1]);
            long mapped = Kilobytes(fields["RssFile"]) + Kilobytes(fields["RssShmem"]);
            return (Kilobytes(fields["VmRSS"]) - mapped, Kilobytes(fields["VmHWM"]) - mapped);
        }
    }

    private static long? FromSystem() =>
        File.Exists("/proc/meminfo") && File.ReadLines("/proc/meminfo").FirstOrDefault(line => line.StartsWith("MemAvailable:", StringComparison.Ordinal)) is { } line
            ? Kilobytes(line.Split(':')[1]) : null;

    private static long Kilobytes(string text) => long.Parse(text.AsSpan().Trim().TrimEnd(" kB"), CultureInfo.InvariantCulture) << 10;
}
