using Levain.Core;

namespace Levain.Data;

/// <summary>A small change of colour: <see cref="Hue"/> in OpenCV's half degrees, or <see cref="Gamma"/>.</summary>
/// <param name="Hue">Turn of the hue, 0..180 half degrees; null: none.</param>
/// <param name="Gamma">Power of the values 0..255 themselves, which changes brightness; null: none.</param>
/// <remarks>sd-scripts, <c>library/train_util.py</c>, <c>AugHelper</c>.</remarks>
public sealed record ColorChange(double? Hue, double? Gamma)
{
    private const double Chance = 0.33, HueLimit = 8, GammaLow = 0.95, GammaHigh = 1.05;
    private const int HueCircle = 180;

    /// <summary>Draws a change; null: this use keeps its colours.</summary>
    public static ColorChange? Draw(PythonRandom random)
    {
        if (random.Random() > Chance) return null;
        if (random.Random() <= 0.5) return new(null, random.Uniform(GammaLow, GammaHigh));
        var hue = random.Uniform(-HueLimit, HueLimit);
        return new(hue < 0 ? HueCircle + hue : hue, null);
    }

    /// <summary>Changes red, green and blue in place; alpha stays.</summary>
    public void Apply(Pixels pixels)
    {
        var data = pixels.Data;
        if (Gamma is { } gamma)
        {
            var table = Enumerable.Range(0, 256).Select(value => (byte)Math.Clamp(Math.Pow(value, gamma), 0, 255)).ToArray();
            for (var at = 0; at < data.Length; at += pixels.Channels)
                for (var c = 0; c < 3; c++) data[at + c] = table[data[at + c]];
        }
        if (Hue is not { } turn) return;
        // kohya calls OpenCV's BGR conversion on RGB data: red and blue change their parts.
        for (var at = 0; at < data.Length; at += pixels.Channels)
        {
            var (hue, saturation, value) = OpenCvHsv.FromBgr(data[at], data[at + 1], data[at + 2]);
            hue = (byte)((hue + turn) % HueCircle);
            (data[at], data[at + 1], data[at + 2]) = OpenCvHsv.ToBgr(hue, saturation, value);
        }
    }
}
