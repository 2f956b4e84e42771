using System.Runtime.Intrinsics.X86;

namespace Levain.Training.Orthogonal;

/// <summary>Rows of two matrices that are read soon, fetched into the second-level cache a few at a time between products: reading then waits for no memory.</summary>
/// <param name="first">The first row of one.</param>
/// <param name="second">The first row of the other.</param>
/// <param name="stride">From one row to the next, in both.</param>
/// <param name="rows">Rows.</param>
/// <param name="length">Numbers of a row.</param>
internal unsafe struct Ahead(float* first, float* second, long stride, int rows, int length)
{
    private const int CacheLine = 16;

    private int fetched;

    /// <summary>Fetches the next rows; none when all are on their way. An address beyond the matrix does no harm.</summary>
    public void Fetch(int count)
    {
        for (var end = Math.Min(rows, fetched + count); fetched < end; fetched++)
            for (var i = 0; i < length; i += CacheLine)
            {
                Sse.Prefetch1(first + fetched * stride + i);
                Sse.Prefetch1(second + fetched * stride + i);
            }
    }
}
