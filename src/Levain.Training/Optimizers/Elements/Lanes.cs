using System.Numerics;
using System.Runtime.CompilerServices;

namespace Levain.Training.Elements;

/// <summary>A vector register of <see cref="float"/> or <see cref="double"/>.</summary>
internal readonly struct Lanes<T>(Vector<T> vector) : ILanes<Lanes<T>> where T : unmanaged, INumber<T>
{
    /// <summary>The register.</summary>
    public Vector<T> Vector { get; } = vector;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes<T> operator +(Lanes<T> left, Lanes<T> right) => new(left.Vector + right.Vector);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes<T> operator -(Lanes<T> left, Lanes<T> right) => new(left.Vector - right.Vector);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes<T> operator *(Lanes<T> left, Lanes<T> right) => new(left.Vector * right.Vector);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes<T> operator /(Lanes<T> left, Lanes<T> right) => new(left.Vector / right.Vector);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes<T> operator *(Lanes<T> lanes, double number) => new(lanes.Vector * System.Numerics.Vector.Create(T.CreateTruncating(number)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes<T> operator +(Lanes<T> lanes, double number) => new(lanes.Vector + System.Numerics.Vector.Create(T.CreateTruncating(number)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes<T> Root(Lanes<T> lanes) => new(System.Numerics.Vector.SquareRoot(lanes.Vector));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes<T> Size(Lanes<T> lanes) => new(System.Numerics.Vector.Abs(lanes.Vector));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes<T> Sign(Lanes<T> lanes)
    {
        var zero = Vector<T>.Zero;
        var positive = System.Numerics.Vector.ConditionalSelect(System.Numerics.Vector.GreaterThan(lanes.Vector, zero), Vector<T>.One, zero);
        return new(System.Numerics.Vector.ConditionalSelect(System.Numerics.Vector.LessThan(lanes.Vector, zero), -Vector<T>.One, positive));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes<T> Max(Lanes<T> left, Lanes<T> right) => new(System.Numerics.Vector.Max(left.Vector, right.Vector));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes<T> Min(Lanes<T> left, Lanes<T> right) => new(System.Numerics.Vector.Min(left.Vector, right.Vector));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes<T> Where(Lanes<T> test, Lanes<T> positive, Lanes<T> other) =>
        new(System.Numerics.Vector.ConditionalSelect(System.Numerics.Vector.GreaterThan(test.Vector, Vector<T>.Zero), positive.Vector, other.Vector));
}
