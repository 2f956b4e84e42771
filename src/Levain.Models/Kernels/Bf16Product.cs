using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Levain.Models;

/// <summary>
/// Products of small bf16 matrices with sums in fp32. .NET has no bf16 arithmetic; libtorch carries kernels for such blocks (oneDNN's batch-reduce
/// products, generated for the processor at hand), which its own attention is made of and which its library exports.
/// </summary>
/// <remarks>Where a libtorch does not export them, or the processor has no bf16 arithmetic, <see cref="IsAvailable"/> says so and others compute.</remarks>
internal static unsafe class Bf16Product
{
    private const string Product = "_ZN2at6native7cpublas6brgemmEllllllbPKN3c108BFloat16ES5_Pfb", ReleaseUnits = "_ZN2at6native7cpublas14brgemm_releaseEb";

    /// <summary>Bits by which bf16 is shorter than fp32.</summary>
    public const int Shift = 16;

    private static readonly delegate* unmanaged<long, long, long, long, long, long, byte, ushort*, ushort*, float*, byte, void> product;
    private static readonly delegate* unmanaged<byte, void> release;

    static Bf16Product()
    {
        var library = Path.Combine(NativeLibraries.Folder, "libtorch_cpu.so");
        if (!OperatingSystem.IsLinux() || !Processor.HasBf16 || !Vector512.IsHardwareAccelerated || !NativeLibrary.TryLoad(library, out var torch)
            || !NativeLibrary.TryGetExport(torch, Product, out var run) || !NativeLibrary.TryGetExport(torch, ReleaseUnits, out var free)) return;
        product = (delegate* unmanaged<long, long, long, long, long, long, byte, ushort*, ushort*, float*, byte, void>)run;
        release = (delegate* unmanaged<byte, void>)free;
    }

    public static bool IsAvailable => product != null;

    /// <summary>c[rows, columns] = or += a[rows, depth]·b[depth, columns].</summary>
    /// <param name="depth">Even.</param>
    /// <param name="b">Rows in pairs: [depth/2, bColumns, 2].</param>
    /// <param name="bColumns">From one pair of rows to the next, in pairs of elements.</param>
    public static void Run(int rows, int columns, int depth, ushort* a, nint aRow, uint* b, nint bColumns, float* c, nint cRow, bool add) =>
        product(rows, columns, depth, aRow, bColumns, cRow, add ? (byte)1 : (byte)0, a, (ushort*)b, c, 1);

    /// <summary>To be called by each thread when it has formed its products: some processors keep a state for them.</summary>
    public static void Release() => release(1);

    /// <summary>Two rows of numbers, rounded to the nearest bf16 (halves away from zero) and put side by side in pairs.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Pair(Vector512<float> even, Vector512<float> odd) =>
        (Rounded(even) >> Shift) | (Rounded(odd) & Vector512.Create(0xFFFF0000u));

    /// <summary>Sixteen numbers of two rows, put side by side in pairs.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Pair(ushort* even, ushort* odd) => Widened(even) | (Widened(odd) << Shift);

    /// <summary>Sixteen numbers, each in the lower half of its lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Widened(ushort* from) => Avx512F.ConvertToVector512UInt32(Vector256.Load(from));

    /// <summary>Numbers whose upper sixteen bits are those of the nearest bf16.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Rounded(Vector512<float> value) => value.AsUInt32() + Vector512.Create(0x8000u);
}
