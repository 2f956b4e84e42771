using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Levain.Models;

/// <summary>What of the processor decides how to compute.</summary>
public static class Processor
{
    /// <summary>Cores this process may use, without hyper-threads: two threads of one core share its arithmetic units.</summary>
    public static int PhysicalCores { get; } = CountCores();

    /// <summary>What it calls itself; null where the system does not tell.</summary>
    public static string? Name { get; } = CpuInfo("model name").FirstOrDefault();

    /// <summary>Whether it multiplies bf16 in hardware: AVX512_BF16 or AMX_BF16 (Intel SDM volume 2A, table 3-8, leaf 7), or Arm's.</summary>
    public static bool HasBf16 { get; } = OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture == Architecture.Arm64
        ? CpuInfo("Features").Any(features => features.Split(' ').Contains("bf16"))
        : Leaf7(subleaf: 1, registers => registers.Eax, bit: 5) || Leaf7(subleaf: 0, registers => registers.Edx, bit: 22);

    private static bool Leaf7(int subleaf, Func<(int Eax, int Ebx, int Ecx, int Edx), int> register, int bit) =>
        X86Base.IsSupported && X86Base.CpuId(0, 0).Eax >= 7 && (register(X86Base.CpuId(7, subleaf)) >> bit & 1) == 1;

    private static int CountCores()
    {
        var cores = CpuInfo("physical id").Zip(CpuInfo("core id")).Distinct().Count();
        return cores > 0 ? Math.Min(cores, Environment.ProcessorCount) : Environment.ProcessorCount;
    }

    private static IEnumerable<string> CpuInfo(string field) => !File.Exists("/proc/cpuinfo") ? [] :
        File.ReadLines("/proc/cpuinfo").Where(line => line.StartsWith(field, StringComparison.Ordinal)).Select(line => line[(line.IndexOf(':') + 1)..].Trim());
}
