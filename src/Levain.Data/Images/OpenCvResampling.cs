using Levain.Core;

namespace Levain.Data;

/// <summary>OpenCV's linear and exact nearest resampling of 8-bit pictures: no antialiasing, fixed-point weights.</summary>
/// <remarks>OpenCV 4, <c>modules/imgproc/src/resize.cpp</c>.</remarks>
internal static class OpenCvResampling
{
    private const int WeightBits = 11, WeightOne = 1 << WeightBits;

    /// <summary>Which two source samples make a new one: <c>First</c> and the next, which is repeated at the edge.</summary>
    private readonly record struct Taps(int First, int Next, int FirstWeight, int NextWeight);

    /// <summary>Linear between the two nearest samples.</summary>
    /// <param name="source">The picture.</param>
    /// <param name="size">New size, px.</param>
    /// <param name="byArea">What INTER_AREA does where a side grows: weights by covered area.</param>
    public static Pixels Linear(Pixels source, PixelSize size, bool byArea)
    {
        var (columns, rows) = (TapsOf(source.Width, size.Width, byArea), TapsOf(source.Height, size.Height, byArea));
        var target = new Pixels(size, source.Channels);
        var (first, next) = (new int[target.Stride], new int[target.Stride]);
        var (firstRow, nextRow) = (-1, -1);
        for (var y = 0; y < size.Height; y++)
        {
            var taps = rows[y];
            if (taps.First == nextRow) ((first, firstRow), (next, nextRow)) = ((next, nextRow), (first, firstRow));
            if (taps.First != firstRow) SumColumns(source.Row(firstRow = taps.First), first, columns, source.Channels);
            if (taps.Next != nextRow) SumColumns(source.Row(nextRow = taps.Next), next, columns, source.Channels);
            var result = target.Row(y);
            // OpenCV drops bits before each product.
            for (var x = 0; x < result.Length; x++)
                result[x] = (byte)((taps.FirstWeight * (first[x] >> 4) >> 16) + (taps.NextWeight * (next[x] >> 4) >> 16) + 2 >> 2);
        }
        return target;
    }

    public static Pixels Nearest(Pixels source, PixelSize size)
    {
        var (columns, rows) = (NearestIndices(source.Width, size.Width), NearestIndices(source.Height, size.Height));
        var target = new Pixels(size, source.Channels);
        for (var y = 0; y < size.Height; y++)
        {
            var from = source.Row(rows[y]);
            var to = target.Row(y);
            for (var x = 0; x < size.Width; x++) from.Slice(columns[x] * source.Channels, source.Channels).CopyTo(to[(x * source.Channels)..]);
        }
        return target;
    }

    private static void SumColumns(ReadOnlySpan<byte> row, int[] line, Taps[] columns, int channels)
    {
        var at = 0;
        foreach (var (first, next, firstWeight, nextWeight) in columns)
            for (var c = 0; c < channels; c++)
                line[at++] = row[first * channels + c] * firstWeight + row[next * channels + c] * nextWeight;
    }

    private static Taps[] TapsOf(int from, int to, bool byArea)
    {
        var inverse = (double)to / from;
        var scale = 1 / inverse;
        var taps = new Taps[to];
        for (var target = 0; target < to; target++)
        {
            int first;
            float fraction;
            if (byArea)
            {
                first = (int)Math.Floor(target * scale);
                fraction = (float)(target + 1 - (first + 1) * inverse);
                fraction = fraction <= 0 ? 0 : fraction - MathF.Floor(fraction);
            }
            else
            {
                fraction = (float)((target + 0.5) * scale - 0.5);
                first = (int)MathF.Floor(fraction);
                fraction -= first;
            }
            if (first < 0) (first, fraction) = (0, 0);
            if (first >= from - 1) (first, fraction) = (from - 1, 0);
            taps[target] = new(first, Math.Min(first + 1, from - 1), Fixed(1 - fraction), Fixed(fraction));
        }
        return taps;
    }

    private static int Fixed(float weight) => (int)MathF.Round(weight * WeightOne, MidpointRounding.ToEven);

    private static int[] NearestIndices(int from, int to)
    {
        var step = (((long)from << 16) + to / 2) / to;
        var start = step / 2 - from % 2;
        return [.. Enumerable.Range(0, to).Select(i => (int)Math.Min(step * i + start >> 16, from - 1))];
    }
}
