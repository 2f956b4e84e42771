using System.Numerics;

namespace Levain.Training.Elements;

/// <summary>
/// Numbers that are computed side by side. An update rule is written once over them: <see cref="Lanes{T}"/> are a processor's vector registers, which makes
/// one pass over memory of the whole rule; <see cref="TensorLanes"/> are whole tensors, for any device.
/// </summary>
internal interface ILanes<L> : IAdditionOperators<L, L, L>, ISubtractionOperators<L, L, L>, IMultiplyOperators<L, L, L>, IDivisionOperators<L, L, L> where L : ILanes<L>
{
    /// <summary>Each times the same number.</summary>
    static abstract L operator *(L lanes, double number);

    /// <summary>Each plus the same number.</summary>
    static abstract L operator +(L lanes, double number);

    /// <summary>Square roots.</summary>
    static abstract L Root(L lanes);

    /// <summary>Absolute values.</summary>
    static abstract L Size(L lanes);

    /// <summary>−1, 0 or 1.</summary>
    static abstract L Sign(L lanes);

    /// <summary>The larger of two.</summary>
    static abstract L Max(L left, L right);

    /// <summary>The smaller of two.</summary>
    static abstract L Min(L left, L right);

    /// <summary><paramref name="positive"/> where <paramref name="test"/> is above 0, else <paramref name="other"/>.</summary>
    static abstract L Where(L test, L positive, L other);
}
