using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>Matrices turned round, a square of sixteen at a time.</summary>
internal static unsafe class Turning
{
    private const int Rows = 64;

    /// <summary>Fills <paramref name="to"/>, [B, N, M], with the transposes of <paramref name="from"/>, [B, M, N]; both dense, fp32 or bf16, with sides that are multiples of sixteen.</summary>
    public static void Run(Tensor from, Tensor to)
    {
        int rows = (int)from.size(1), columns = (int)from.size(2), parts = (rows + Rows - 1) / Rows;
        var half = from.dtype == ScalarType.BFloat16;
        nint source = TensorMemory.Address(from), target = TensorMemory.Address(to);
        Team.Run(Team.For(from.numel()), (int)from.size(0) * parts, piece =>
        {
            var (matrix, first) = (piece / parts * (long)rows * columns, piece % parts * Rows);
            var end = Math.Min(rows, first + Rows);
            if (half) Turn((ushort*)source + matrix, (ushort*)target + matrix, rows, columns, first, end);
            else Turn((float*)source + matrix, (float*)target + matrix, rows, columns, first, end);
        });
        GC.KeepAlive(from);
        GC.KeepAlive(to);
    }

    private static void Turn(float* from, float* to, int rows, int columns, int first, int end)
    {
        for (var column = 0; column < columns; column += Tiles.Lanes)
            for (var row = first; row < end; row += Tiles.Lanes) Tiles.Turn(from + (long)row * columns + column, columns, to + (long)column * rows + row, rows);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Turn(ushort* from, ushort* to, int rows, int columns, int first, int end)
    {
        uint* square = stackalloc uint[Tiles.Lanes * Tiles.Lanes], turned = stackalloc uint[Tiles.Lanes * Tiles.Lanes];
        for (var column = 0; column < columns; column += Tiles.Lanes)
            for (var row = first; row < end; row += Tiles.Lanes)
            {
                for (var i = 0; i < Tiles.Lanes; i++) Bf16Product.Widened(from + (long)(row + i) * columns + column).Store(square + i * Tiles.Lanes);
                Tiles.Turn((float*)square, Tiles.Lanes, (float*)turned, Tiles.Lanes);
                for (var i = 0; i < Tiles.Lanes; i++) Avx512F.ConvertToVector256UInt16(Vector512.Load(turned + i * Tiles.Lanes)).Store(to + (long)(column + i) * rows + row);
            }
    }
}
