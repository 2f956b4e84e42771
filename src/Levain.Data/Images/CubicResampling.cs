using Levain.Core;

namespace Levain.Data;

/// <summary>Cubic resampling as OpenCV's builds on x86 have it: four samples a side, no antialiasing, full precision, rounded once.</summary>
/// <remarks>Keys 1981, "Cubic convolution interpolation for digital image processing", with a = −0.75. OpenCV's own code, used where Intel's library is
/// missing, rounds the weights to 11 bits and differs in up to 4 % of the values by 1.</remarks>
internal static class CubicResampling
{
    private const int Reach = 4;
    private const double A = -0.75;

    private readonly record struct Taps(int[] Samples, double[] Weights);

    public static Pixels Resize(Pixels source, PixelSize size)
    {
        var (columns, rows) = (TapsOf(source.Width, size.Width), TapsOf(source.Height, size.Height));
        var target = new Pixels(size, source.Channels);
        var lines = new double[Reach][];
        var held = new int[Reach];
        Array.Fill(held, -1);
        for (var i = 0; i < Reach; i++) lines[i] = new double[target.Stride];
        for (var y = 0; y < size.Height; y++)
        {
            var (samples, weights) = rows[y];
            // A line stays in the slot of its number, so that neighbouring rows share it.
            foreach (var row in samples)
                if (held[row % Reach] != row) SumColumns(source.Row(held[row % Reach] = row), lines[row % Reach], columns, source.Channels);
            var (first, second, third, fourth) = (lines[samples[0] % Reach], lines[samples[1] % Reach], lines[samples[2] % Reach], lines[samples[3] % Reach]);
            var result = target.Row(y);
            for (var x = 0; x < result.Length; x++)
            {
                var sum = first[x] * weights[0] + second[x] * weights[1] + third[x] * weights[2] + fourth[x] * weights[3];
                result[x] = (byte)Math.Clamp(Math.Round(sum, MidpointRounding.ToEven), 0, 255);
            }
        }
        return target;
    }

    private static void SumColumns(ReadOnlySpan<byte> row, double[] line, Taps[] columns, int channels)
    {
        var at = 0;
        foreach (var (samples, weights) in columns)
            for (var c = 0; c < channels; c++)
                line[at++] = row[samples[0] * channels + c] * weights[0] + row[samples[1] * channels + c] * weights[1]
                    + row[samples[2] * channels + c] * weights[2] + row[samples[3] * channels + c] * weights[3];
    }

    private static Taps[] TapsOf(int from, int to)
    {
        var scale = (double)from / to;
        var taps = new Taps[to];
        for (var target = 0; target < to; target++)
        {
            var place = (target + 0.5) * scale - 0.5;
            var first = (int)Math.Floor(place) - 1;
            var x = place - Math.Floor(place);
            taps[target] = new([.. Enumerable.Range(first, Reach).Select(sample => Math.Clamp(sample, 0, from - 1))], [Far(1 + x), Near(x), Near(1 - x), Far(2 - x)]);
        }
        return taps;
    }

    private static double Near(double x) => ((A + 2) * x - (A + 3)) * x * x + 1;

    private static double Far(double x) => ((A * x - 5 * A) * x + 8 * A) * x - 4 * A;
}
