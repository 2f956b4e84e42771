using System.Runtime.CompilerServices;
namespace Levain.Training.Elements;

/// <summary>The sum of all gradients' squares.</summary>
internal readonly struct Squares : IElementRule
{
    public static Streams Reads => Streams.Gradient;
    public static Streams Writes => Streams.Sums;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Apply<L>(ref Element<L> x) where L : struct, ILanes<L> => x.Sum1 = x.G * x.G;
}
