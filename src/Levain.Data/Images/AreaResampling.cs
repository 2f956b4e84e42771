using System.Numerics;
using Levain.Core;

namespace Levain.Data;

/// <summary>OpenCV's INTER_AREA for shrinking: each new pixel is the mean of the old ones it covers, parts counted by their area.</summary>
/// <remarks>OpenCV 4, <c>modules/imgproc/src/resize.cpp</c>: single precision, rounded half to even; whole factors have a path of their own with other rounding.</remarks>
internal static class AreaResampling
{
    // Parts smaller than this are left out, as OpenCV does.
    private const double Sliver = 1e-3, MachineEpsilon = 2.220446049250313e-16;

    private readonly record struct Part(int From, int To, float Weight);

    public static Pixels Shrink(Pixels source, PixelSize size)
    {
        var (scaleX, scaleY) = (1 / ((double)size.Width / source.Width), 1 / ((double)size.Height / source.Height));
        var (wholeX, wholeY) = ((int)Math.Round(scaleX), (int)Math.Round(scaleY));
        return Math.Abs(scaleX - wholeX) < MachineEpsilon && Math.Abs(scaleY - wholeY) < MachineEpsilon
            ? ShrinkWhole(source, size, wholeX, wholeY)
            : ShrinkAny(source, size, scaleX, scaleY);
    }

    private static Pixels ShrinkWhole(Pixels source, PixelSize size, int factorX, int factorY)
    {
        var target = new Pixels(size, source.Channels);
        var sums = new int[target.Stride];
        var channels = source.Channels;
        var share = 1f / (factorX * factorY);
        for (var y = 0; y < size.Height; y++)
        {
            Array.Clear(sums);
            for (var dy = 0; dy < factorY; dy++)
            {
                var row = source.Row(y * factorY + dy);
                for (int x = 0, i = 0; x < size.Width; x++)
                    for (var dx = 0; dx < factorX; dx++)
                        for (var c = 0; c < channels; c++)
                            sums[x * channels + c] += row[i++];
            }
            var result = target.Row(y);
            for (var i = 0; i < sums.Length; i++)
                result[i] = factorX == 2 && factorY == 2 ? (byte)(sums[i] + 2 >> 2) : Round(sums[i] * share);
        }
        return target;
    }

    private static Pixels ShrinkAny(Pixels source, PixelSize size, double scaleX, double scaleY)
    {
        var target = new Pixels(size, source.Channels);
        var columns = Parts(source.Width, size.Width, scaleX);
        var rows = Parts(source.Height, size.Height, scaleY);
        var (sum, line) = (new float[target.Stride], new float[target.Stride]);
        for (var i = 0; i < rows.Count; i++)
        {
            SumColumns(source.Row(rows[i].From), line, columns, source.Channels);
            Add(sum, line, rows[i].Weight, begins: i == 0 || rows[i - 1].To != rows[i].To);
            if (i + 1 < rows.Count && rows[i + 1].To == rows[i].To) continue;
            var result = target.Row(rows[i].To);
            for (var x = 0; x < sum.Length; x++) result[x] = Round(sum[x]);
        }
        return target;
    }

    private static void SumColumns(ReadOnlySpan<byte> row, float[] line, List<Part> columns, int channels)
    {
        Array.Clear(line);
        if (channels == 3)
        {
            foreach (var (from, to, weight) in columns)
            {
                var (i, o) = (from * 3, to * 3);
                line[o] += row[i] * weight;
                line[o + 1] += row[i + 1] * weight;
                line[o + 2] += row[i + 2] * weight;
            }
            return;
        }
        foreach (var (from, to, weight) in columns)
            for (var c = 0; c < channels; c++)
                line[to * channels + c] += row[from * channels + c] * weight;
    }

    private static void Add(float[] sum, float[] line, float weight, bool begins)
    {
        var i = 0;
        var weights = new Vector<float>(weight);
        for (; i + Vector<float>.Count <= sum.Length; i += Vector<float>.Count)
        {
            var product = new Vector<float>(line, i) * weights;
            (begins ? product : new Vector<float>(sum, i) + product).CopyTo(sum, i);
        }
        for (; i < sum.Length; i++) sum[i] = begins ? line[i] * weight : sum[i] + line[i] * weight;
    }

    private static List<Part> Parts(int from, int to, double scale)
    {
        var parts = new List<Part>(from * 2);
        for (var target = 0; target < to; target++)
        {
            var begin = target * scale;
            var end = begin + scale;
            var width = Math.Min(scale, from - begin);
            var last = Math.Min((int)Math.Floor(end), from - 1);
            var first = Math.Min((int)Math.Ceiling(begin), last);
            if (first - begin > Sliver) parts.Add(new(first - 1, target, (float)((first - begin) / width)));
            for (var i = first; i < last; i++) parts.Add(new(i, target, (float)(1 / width)));
            if (end - last > Sliver) parts.Add(new(last, target, (float)(Math.Min(Math.Min(end - last, 1), width) / width)));
        }
        return parts;
    }

    private static byte Round(float value) => (byte)Math.Clamp(MathF.Round(value, MidpointRounding.ToEven), 0, 255);
}
