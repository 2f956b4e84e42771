using Levain.Core;

namespace Levain.Training.EightBit;

/// <summary>Options of all rules whose moments may be 8-bit blocks, as bitsandbytes has them.</summary>
public abstract record BlockOptions : OptimizerOptions
{
    internal const int Full = 32, Eight = 8;

    /// <summary>Elements from which on a tensor's moments are 8-bit; smaller ones stay in fp32. Default 4096.</summary>
    public int Min8bitSize { get; init; } = 4096;

    /// <summary>Bits of the moments: 8 or 32.</summary>
    public int StateBits { get; init; } = Eight;

    /// <summary>bitsandbytes' way of asking for 8 bits where the name says none: 8 or 32. Default 32.</summary>
    public int OptimBits { get; init; } = Full;

    /// <summary>Whether <see cref="OptimBits"/> chooses the bits.</summary>
    public bool BitsChosen { get; init; }

    /// <summary>Whether the class has an argument for paging; the paged ones have none.</summary>
    public bool MayBePaged { get; init; }

    /// <summary>Elements from which on a tensor is coded, by the bits that were chosen.</summary>
    internal long Smallest => StateBits == Eight || BitsChosen && OptimBits == Eight ? Min8bitSize : long.MaxValue;

    /// <summary>Checks the least size.</summary>
    protected void CheckSize(Problems problems) => problems.Require(Min8bitSize >= 0, "min_8bit_size", $"is {Min8bitSize}.", "Use 4096.");
}
