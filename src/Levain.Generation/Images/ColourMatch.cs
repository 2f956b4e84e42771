namespace Levain.Generation;

/// <summary>Gives a picture the colours of another, and leaves it its own brightness: img2img drifts in colour, from pass to pass.</summary>
/// <remarks>The webui's colour correction: histograms of L, a and b are matched (scikit-image's <c>match_histograms</c>), and the luminosity of the drawn picture is put back, by the blend of that name of the PDF standard.</remarks>
internal static class ColourMatch
{
    private const int Levels = 256, Channels = 3;

    // sRGB (IEC 61966-2-1) under D65, and CIE L*a*b* in 8 bits as OpenCV keeps it: L·255/100, a + 128, b + 128.
    private static readonly double[] ToX = [0.412453, 0.357580, 0.180423], ToY = [0.212671, 0.715160, 0.072169], ToZ = [0.019334, 0.119193, 0.950227];
    private static readonly double[] Red = [3.240479, -1.53715, -0.498535], Green = [-0.969256, 1.875991, 0.041556], Blue = [0.055648, -0.204043, 1.057311];
    private const double WhiteX = 0.950456, WhiteZ = 1.088754, Knee = 0.008856, Slope = 7.787, Offset = 16.0 / 116;
    private const double MostL = 100, Middle = 128;

    // Shares of a colour in its luminosity.
    private static readonly double[] Luminosity = [0.3, 0.59, 0.11];

    /// <summary>A picture in another's colours.</summary>
    /// <param name="drawn">The picture.</param>
    /// <param name="colours">The other; of any size.</param>
    public static Picture Apply(Picture drawn, Picture colours)
    {
        var (own, wanted) = (Lab(drawn.Rgb), Lab(colours.Rgb));
        for (var channel = 0; channel < Channels; channel++)
        {
            var map = Matched(Counts(own, channel), Counts(wanted, channel));
            for (var i = channel; i < own.Length; i += Channels) own[i] = map[own[i]];
        }
        return new(drawn.Size, WithLuminosity(Rgb(own), drawn.Rgb));
    }

    /// <summary>8-bit sRGB to 8-bit L*a*b*.</summary>
    internal static byte[] Lab(byte[] rgb)
    {
        var linear = Enumerable.Range(0, Levels).Select(level => level / 255.0).Select(v => v <= 0.04045 ? v / 12.92 : Math.Pow((v + 0.055) / 1.055, 2.4)).ToArray();
        var lab = new byte[rgb.Length];
        for (var i = 0; i < rgb.Length; i += Channels)
        {
            var (r, g, b) = (linear[rgb[i]], linear[rgb[i + 1]], linear[rgb[i + 2]]);
            var (x, y, z) = (Root(Mix(ToX, r, g, b) / WhiteX), Root(Mix(ToY, r, g, b)), Root(Mix(ToZ, r, g, b) / WhiteZ));
            (lab[i], lab[i + 1], lab[i + 2]) = (Byte((116 * y - 16) * 255 / MostL), Byte(500 * (x - y) + Middle), Byte(200 * (y - z) + Middle));
        }
        return lab;

        static double Root(double t) => t > Knee ? Math.Cbrt(t) : Slope * t + Offset;
    }

    /// <summary>8-bit L*a*b* to 8-bit sRGB.</summary>
    internal static byte[] Rgb(byte[] lab)
    {
        var rgb = new byte[lab.Length];
        for (var i = 0; i < lab.Length; i += Channels)
        {
            var fy = (lab[i] * MostL / 255 + 16) / 116;
            var (x, y, z) = (Power(fy + (lab[i + 1] - Middle) / 500) * WhiteX, Power(fy), Power(fy - (lab[i + 2] - Middle) / 200) * WhiteZ);
            (rgb[i], rgb[i + 1], rgb[i + 2]) = (Level(Mix(Red, x, y, z)), Level(Mix(Green, x, y, z)), Level(Mix(Blue, x, y, z)));
        }
        return rgb;

        static double Power(double f) => f > 6.0 / 29 ? f * f * f : (f - Offset) / Slope;

        static byte Level(double v) => Byte((v <= 0.0031308 ? 12.92 * Math.Max(v, 0) : 1.055 * Math.Pow(v, 1 / 2.4) - 0.055) * 255);
    }

    /// <summary>The level each level becomes, so that as many pixels lie below it as in the other picture; between levels it is interpolated and cut off.</summary>
    private static byte[] Matched(long[] own, long[] wanted)
    {
        var (total, other) = ((double)own.Sum(), (double)wanted.Sum());
        var (levels, shares, below) = (new List<int>(), new List<double>(), 0L);
        for (var level = 0; level < Levels; level++)
        {
            if (wanted[level] == 0) continue;
            levels.Add(level);
            shares.Add((below += wanted[level]) / other);
        }
        var (map, seen) = (new byte[Levels], 0L);
        for (var (level, at) = (0, 0); level < Levels; level++)
        {
            var share = (seen += own[level]) / total;
            while (at < shares.Count && shares[at] < share) at++;
            map[level] = (byte)(at == 0 ? levels[0] : at == shares.Count ? levels[^1] : levels[at - 1] + (share - shares[at - 1]) / (shares[at] - shares[at - 1]) * (levels[at] - levels[at - 1]));
        }
        return map;
    }

    private static byte[] WithLuminosity(byte[] rgb, byte[] bright)
    {
        var result = new byte[rgb.Length];
        for (var i = 0; i < rgb.Length; i += Channels)
        {
            var wanted = Mix(Luminosity, bright[i], bright[i + 1], bright[i + 2]) / 255;
            var shift = wanted - Mix(Luminosity, rgb[i], rgb[i + 1], rgb[i + 2]) / 255;
            var (r, g, b) = (rgb[i] / 255.0 + shift, rgb[i + 1] / 255.0 + shift, rgb[i + 2] / 255.0 + shift);
            var (least, most) = (Math.Min(r, Math.Min(g, b)), Math.Max(r, Math.Max(g, b)));
            // colours beyond the range are drawn towards their gray until they fit
            double Fit(double c)
            {
                if (least < 0) c = wanted + (c - wanted) * wanted / (wanted - least);
                if (most > 1) c = wanted + (c - wanted) * (1 - wanted) / (most - wanted);
                return c * 255;
            }
            (result[i], result[i + 1], result[i + 2]) = (Byte(Fit(r)), Byte(Fit(g)), Byte(Fit(b)));
        }
        return result;
    }

    private static long[] Counts(byte[] values, int channel)
    {
        var counts = new long[Levels];
        for (var i = channel; i < values.Length; i += Channels) counts[values[i]]++;
        return counts;
    }

    private static double Mix(double[] shares, double a, double b, double c) => shares[0] * a + shares[1] * b + shares[2] * c;

    private static byte Byte(double value) => (byte)Math.Clamp(Math.Round(value), 0, byte.MaxValue);
}
