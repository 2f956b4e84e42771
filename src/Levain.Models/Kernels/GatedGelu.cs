using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using TorchSharp;
using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>a·GELU(g) of the two halves of rows [a | g], with the exact GELU, g·Φ(g), and its way back, each in one pass over memory.</summary>
/// <remarks>
/// Φ within 8·10⁻⁸ of itself: near 0 by an odd polynomial, beyond by erfc(z) = e^(−z²)·erfcx(z), both through Chebyshev nodes; the slope, Φ + g·φ,
/// has its e^(−z²) from there.
/// </remarks>
internal static unsafe class GatedGelu
{
    // What an element costs, in multiplications.
    private const int Work = 32;

    /// <summary>Whether rows have sides that the kernel takes.</summary>
    public static bool Suits(Tensor rows) =>
        Engine.OwnKernels && rows.device_type == DeviceType.CPU && rows.dtype is ScalarType.Float32 or ScalarType.BFloat16 && rows.size(-1) % (2 * Tiles.Lanes) == 0;

    /// <summary>Fills <paramref name="to"/>, [..., n], for <paramref name="rows"/>, [..., 2n]; both dense.</summary>
    public static void Run(Tensor rows, Tensor to)
    {
        var size = new Size(rows);
        byte* from = (byte*)TensorMemory.Address(rows), into = (byte*)TensorMemory.Address(to);
        size.Deal((first, end) =>
        {
            for (var row = first; row < end; row++) Forward(size.Half, from + row * 2 * size.Stride, from + (row * 2 + 1) * size.Stride, into + row * size.Stride, size.Width);
        });
        GC.KeepAlive(rows);
        GC.KeepAlive(to);
    }

    /// <summary>Fills <paramref name="slopes"/>, [..., 2n], with the gradient of the rows for <paramref name="gradient"/>, [..., n]; all dense.</summary>
    public static void Back(Tensor rows, Tensor gradient, Tensor slopes)
    {
        var size = new Size(rows);
        byte* from = (byte*)TensorMemory.Address(rows), dy = (byte*)TensorMemory.Address(gradient), into = (byte*)TensorMemory.Address(slopes);
        size.Deal((first, end) =>
        {
            for (var row = first; row < end; row++)
                Backward(size.Half, from + row * 2 * size.Stride, from + (row * 2 + 1) * size.Stride, dy + row * size.Stride, into + row * 2 * size.Stride, into + (row * 2 + 1) * size.Stride, size.Width);
        });
        GC.KeepAlive(rows);
        GC.KeepAlive(gradient);
        GC.KeepAlive(slopes);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Forward(bool half, byte* a, byte* g, byte* to, int count)
    {
        for (var i = 0; i < count; i += Tiles.Lanes)
        {
            var gate = Load(half, g, i);
            var (share, _) = Normal(gate);
            Put(half, Load(half, a, i) * (gate * share), to, i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Backward(bool half, byte* a, byte* g, byte* dy, byte* da, byte* dg, int count)
    {
        for (var i = 0; i < count; i += Tiles.Lanes)
        {
            var (gate, gradient) = (Load(half, g, i), Load(half, dy, i));
            var (share, density) = Normal(gate);
            Put(half, gradient * (gate * share), da, i);
            Put(half, gradient * Load(half, a, i) * Vector512.FusedMultiplyAdd(gate, density, share), dg, i);
        }
    }

    // Φ(x), the share of a normal distribution below x, and φ(x), its density there.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector512<float> Share, Vector512<float> Density) Normal(Vector512<float> x)
    {
        const float RootHalf = 0.70710678f, Peak = 0.39894228f, MinusLog2E = -1.4426950f, Near = 1, Far = 4;
        var signed = x * RootHalf;
        var z = Vector512.Abs(signed);
        var square = z * z;
        var fall = Tiles.PowerOfTwo(square * MinusLog2E);                       // e^(−z²)

        var odd = Vector512.Create(7.87587487e-05f);                            // erf(z)/z over z², 0 to 1
        odd = Step(odd, square, -0.00080168643f);
        odd = Step(odd, square, 0.00518908724f);
        odd = Step(odd, square, -0.0268542115f);
        odd = Step(odd, square, 0.112835944f);
        odd = Step(odd, square, -0.37612626f);
        odd = Step(odd, square, 1.12837911f);
        var near = Vector512.FusedMultiplyAdd(signed * 0.5f, odd, Vector512.Create(0.5f));

        var w = Vector512.FusedMultiplyAdd(Vector512.Min(z, Vector512.Create(Far)), Vector512.Create(2f / 3), Vector512.Create(-5f / 3));       // 1 to 4 over −1 to 1
        var scaled = Vector512.Create(9.29497401e-05f);                         // erfcx(z)
        scaled = Step(scaled, w, -0.000245186442f);
        scaled = Step(scaled, w, 0.000376477285f);
        scaled = Step(scaled, w, -0.000916272576f);
        scaled = Step(scaled, w, 0.00241838419f);
        scaled = Step(scaled, w, -0.00561123341f);
        scaled = Step(scaled, w, 0.0124867f);
        scaled = Step(scaled, w, -0.0269979369f);
        scaled = Step(scaled, w, 0.0561106279f);
        scaled = Step(scaled, w, -0.111521393f);
        scaled = Step(scaled, w, 0.21080637f);
        var tail = fall * scaled * 0.5f;
        var far = Vector512.ConditionalSelect(Vector512.LessThan(x, Vector512<float>.Zero), tail, Vector512<float>.One - tail);
        return (Vector512.ConditionalSelect(Vector512.LessThan(z, Vector512.Create(Near)), near, far), fall * Peak);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Step(Vector512<float> sum, Vector512<float> x, float next) => Vector512.FusedMultiplyAdd(sum, x, Vector512.Create(next));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Load(bool half, byte* from, int i) => half ? Numbers.Widened((ushort*)from + i) : Vector512.Load((float*)from + i);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(bool half, Vector512<float> value, byte* to, int i)
    {
        if (half) Numbers.Rounded(value).Store((ushort*)to + i);
        else value.Store((float*)to + i);
    }

    private readonly struct Size
    {
        public readonly bool Half;
        public readonly int Width;          // n
        public readonly long Stride;        // bytes of n
        private readonly int count;

        public Size(Tensor rows)
        {
            Half = rows.dtype == ScalarType.BFloat16;
            Width = (int)rows.size(-1) / 2;
            Stride = (long)Width * (Half ? sizeof(ushort) : sizeof(float));
            count = (int)(rows.numel() / (2 * Width));
        }

        public void Deal(Action<int, int> take)
        {
            var (all, threads) = (count, Team.For((long)count * Width * Work));
            var pieces = Team.Pieces(threads, 1, all, Tiles.Columns);
            Team.Run(threads, pieces, piece =>
            {
                var (first, end) = Team.Piece(piece, pieces, all, Tiles.Columns);
                take(first, end);
            });
        }
    }
}
