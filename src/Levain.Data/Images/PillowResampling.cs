using System.Numerics;
using Levain.Core;

namespace Levain.Data;

/// <summary>Pillow's resampling of 8-bit pictures: antialiased, columns first, each pass rounded to 8 bits.</summary>
/// <remarks>Pillow 13, <c>src/libImaging/Resample.c</c>: weights of 22 bits, rounded half away from zero. Alpha is premultiplied around it.
/// Where the height shrinks and the width grows, rows come first (measured; older versions never do that).</remarks>
internal static class PillowResampling
{
    private const int WeightBits = 22, Half = 1 << WeightBits - 1;

    /// <summary>sinc(x)·sinc(x/3) within 3.</summary>
    public static double Lanczos(double x)
    {
        return x is >= -3 and < 3 ? Sinc(x) * Sinc(x / 3) : 0;

        static double Sinc(double x) => x == 0 ? 1 : Math.Sin(x * Math.PI) / (x * Math.PI);
    }

    /// <summary>1 within half a pixel.</summary>
    public static double Box(double x) => x is > -0.5 and <= 0.5 ? 1 : 0;

    private readonly record struct Taps(int First, int[] Weights);

    /// <param name="source">RGB or RGBA.</param>
    /// <param name="size">New size, px.</param>
    /// <param name="kernel">Weight by distance in px of the smaller picture.</param>
    /// <param name="reach">Distance beyond which the kernel is zero.</param>
    public static Pixels Resize(Pixels source, PixelSize size, Func<double, double> kernel, double reach)
    {
        var hasAlpha = source.Channels == 4;
        var picture = hasAlpha ? Premultiply(source) : source;
        var rowsFirst = size.Height < source.Height && size.Width > source.Width;
        if (rowsFirst) picture = ResizeRows(picture, size.Height, TapsOf(source.Height, size.Height, kernel, reach));
        if (size.Width != source.Width) picture = ResizeColumns(picture, size.Width, TapsOf(source.Width, size.Width, kernel, reach));
        if (size.Height != picture.Height) picture = ResizeRows(picture, size.Height, TapsOf(source.Height, size.Height, kernel, reach));
        if (hasAlpha) Unpremultiply(picture);
        return picture;
    }

    private static Pixels ResizeColumns(Pixels source, int width, Taps[] taps)
    {
        var target = new Pixels(new(width, source.Height), source.Channels);
        var channels = source.Channels;
        for (var y = 0; y < source.Height; y++)
        {
            var from = source.Row(y);
            var to = target.Row(y);
            for (var x = 0; x < width; x++)
            {
                var (first, weights) = taps[x];
                var (r, g, b, a) = (Half, Half, Half, Half);
                for (int k = 0, i = first * channels; k < weights.Length; k++, i += channels)
                {
                    var weight = weights[k];
                    r += from[i] * weight;
                    g += from[i + 1] * weight;
                    b += from[i + 2] * weight;
                    if (channels == 4) a += from[i + 3] * weight;
                }
                var o = x * channels;
                (to[o], to[o + 1], to[o + 2]) = (Clip(r), Clip(g), Clip(b));
                if (channels == 4) to[o + 3] = Clip(a);
            }
        }
        return target;
    }

    private static Pixels ResizeRows(Pixels source, int height, Taps[] taps)
    {
        var target = new Pixels(new(source.Width, height), source.Channels);
        var sums = new int[source.Stride];
        for (var y = 0; y < height; y++)
        {
            var (first, weights) = taps[y];
            Array.Fill(sums, Half);
            for (var k = 0; k < weights.Length; k++) AddRow(sums, source.Row(first + k), weights[k]);
            var to = target.Row(y);
            for (var i = 0; i < sums.Length; i++) to[i] = Clip(sums[i]);
        }
        return target;
    }

    private static void AddRow(Span<int> sums, ReadOnlySpan<byte> row, int weight)
    {
        var at = 0;
        for (; at + Vector<byte>.Count <= row.Length; at += Vector<byte>.Count)
        {
            Vector.Widen(new Vector<byte>(row[at..]), out var low, out var high);
            Add(sums[at..], low);
            Add(sums[(at + Vector<ushort>.Count)..], high);
        }
        for (; at < row.Length; at++) sums[at] += row[at] * weight;

        void Add(Span<int> part, Vector<ushort> values)
        {
            Vector.Widen(values, out var low, out var high);
            (new Vector<int>(part) + Vector.AsVectorInt32(low) * weight).CopyTo(part);
            part = part[Vector<int>.Count..];
            (new Vector<int>(part) + Vector.AsVectorInt32(high) * weight).CopyTo(part);
        }
    }

    private static Taps[] TapsOf(int from, int to, Func<double, double> kernel, double reach)
    {
        var scale = (double)from / to;
        var stretch = Math.Max(scale, 1);
        var support = reach * stretch;
        var taps = new Taps[to];
        for (var target = 0; target < to; target++)
        {
            var centre = (target + 0.5) * scale;
            var first = Math.Max(0, (int)(centre - support + 0.5));
            var count = Math.Min(from, (int)(centre + support + 0.5)) - first;
            var weights = Enumerable.Range(0, count).Select(k => kernel((k + first - centre + 0.5) * (1 / stretch))).ToArray();
            var sum = 0.0;
            foreach (var weight in weights) sum += weight;
            taps[target] = new(first, [.. weights.Select(weight => Fixed(sum == 0 ? weight : weight / sum))]);
        }
        return taps;
    }

    private static int Fixed(double weight) => (int)(weight * (1 << WeightBits) + (weight < 0 ? -0.5 : 0.5));

    private static byte Clip(int sum) => (byte)Math.Clamp(sum >> WeightBits, 0, 255);

    private static Pixels Premultiply(Pixels source)
    {
        var target = new Pixels(source.Size, 4);
        var (from, to) = (source.Data, target.Data);
        for (long i = 0; i < from.Length; i += 4)
        {
            var alpha = from[i + 3];
            for (var c = 0; c < 3; c++) to[i + c] = (byte)VipsReader.Scale255(from[i + c], alpha);
            to[i + 3] = alpha;
        }
        return target;
    }

    private static void Unpremultiply(Pixels picture)
    {
        var data = picture.Data;
        for (long i = 0; i < data.Length; i += 4)
        {
            var alpha = data[i + 3];
            if (alpha is 0 or 255) continue;
            for (var c = 0; c < 3; c++) data[i + c] = (byte)Math.Min(255, 255 * data[i + c] / alpha);
        }
    }
}
