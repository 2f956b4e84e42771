using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Levain.Cli.Doctor;

/// <summary>Processor, memory and disk, as the system tells them.</summary>
internal static class Machine
{
    private const double Gigabyte = 1e9;
    private const double EnoughMemory = 6, EnoughDisk = 5;    // GB: one SD1.5 run at 512 px, and its files

    public static Finding System() => new("system",
        $"{RuntimeInformation.OSDescription}, {RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant()}, .NET {Environment.Version}");

    public static Finding Processor()
    {
        var features = Features();
        return new("processor", $"{Models.Processor.Name ?? Environment.GetEnvironmentVariable("PROCESSOR_IDENTIFIER") ?? "unknown processor"}, {Models.Processor.PhysicalCores} cores ({Environment.ProcessorCount} threads); {string.Join(", ", features)}",
            RuntimeInformation.ProcessArchitecture == Architecture.X64 && !Avx2.IsSupported
                ? "It has no AVX2: training works, but several times slower. Another machine is the only remedy." : null);
    }

    public static Finding Memory()
    {
        var total = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / Gigabyte;
        var free = AvailableMemory() / Gigabyte;
        return new("memory", Text($"{free:0.0} GB free of {total:0.0} GB"),
            free < EnoughMemory ? Text($"An SD 1.5 run at 512 px wants about {EnoughMemory:0} GB: close programs, or train with --memory lean or at a smaller resolution.") : null);
    }

    public static Finding Disk(DirectoryInfo folder)
    {
        var drive = DriveOf(folder.FullName);
        var free = drive.AvailableFreeSpace / Gigabyte;
        return new("disk", Text($"{free:0.0} GB free at {folder.FullName}"),
            free < EnoughDisk ? "A run writes snapshots and networks: make room, or put [output] folder on another disk." : null);
    }

    private static IReadOnlyList<string> Features()
    {
        (string Name, bool Has)[] known =
        [
            ("AVX2", Avx2.IsSupported), ("FMA", Fma.IsSupported), ("AVX-512", Avx512F.IsSupported), ("NEON", AdvSimd.IsSupported), ("bf16", Models.Processor.HasBf16),
        ];
        var has = known.Where(feature => feature.Has).Select(feature => feature.Name).ToList();
        return has.Count > 0 ? has : ["no vector extensions"];
    }

    private static double AvailableMemory()
    {
        const double Kilobyte = 1024;
        if (File.Exists("/proc/meminfo") && File.ReadLines("/proc/meminfo").FirstOrDefault(line => line.StartsWith("MemAvailable:", StringComparison.Ordinal)) is { } line)
            return double.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) * Kilobyte;
        var memory = GC.GetGCMemoryInfo();
        return memory.TotalAvailableMemoryBytes - memory.MemoryLoadBytes;
    }

    private static DriveInfo DriveOf(string path) =>
        DriveInfo.GetDrives().Where(drive => drive.IsReady && path.StartsWith(drive.RootDirectory.FullName, StringComparison.Ordinal))
            .MaxBy(drive => drive.RootDirectory.FullName.Length) ?? new(Path.GetPathRoot(path)!);

    private static string Text(FormattableString text) => FormattableString.Invariant(text);
}
