namespace Levain.Data;

/// <summary>OpenCV's conversion between 8-bit BGR and HSV, with hue in 0..179.</summary>
/// <remarks>OpenCV 4, <c>modules/imgproc/src/color_hsv.simd.hpp</c>: fixed point with 12 bits one way; single precision with fused
/// products, cut off instead of rounded, the other.</remarks>
public static class OpenCvHsv
{
    private const int Bits = 12, HueRange = 180;

    /// <summary>Hue 0..179, saturation and value 0..255.</summary>
    public static (byte Hue, byte Saturation, byte Value) FromBgr(byte blue, byte green, byte red)
    {
        int b = blue, g = green, r = red;
        var value = Math.Max(b, Math.Max(g, r));
        var difference = value - Math.Min(b, Math.Min(g, r));
        var saturation = difference * Divided(255 << Bits, value) + (1 << Bits - 1) >> Bits;
        var hue = value == r ? g - b : value == g ? b - r + 2 * difference : r - g + 4 * difference;
        hue = hue * Divided(HueRange << Bits, 6.0 * difference) + (1 << Bits - 1) >> Bits;
        return ((byte)(hue < 0 ? hue + HueRange : hue), (byte)saturation, (byte)value);

        static int Divided(int numerator, double by) => by == 0 ? 0 : (int)Math.Round(numerator / by, MidpointRounding.ToEven);
    }

    /// <summary>Blue, green and red, 0..255.</summary>
    public static (byte Blue, byte Green, byte Red) ToBgr(byte hue, byte saturation, byte value)
    {
        var (s, v) = (saturation * (1f / 255), value * (1f / 255));
        var h = hue * (6f / HueRange);
        var sector = (int)MathF.Floor(h);
        h -= sector;
        sector %= 6;
        var (p, q, t) = (v * (1 - s), v * MathF.FusedMultiplyAdd(-s, h, 1), v * MathF.FusedMultiplyAdd(-s, 1 - h, 1));
        var (b, g, r) = sector switch
        {
            0 => (p, t, v),
            1 => (p, v, q),
            2 => (t, v, p),
            3 => (v, q, p),
            4 => (v, p, t),
            _ => (q, p, v),
        };
        return (Byte(b), Byte(g), Byte(r));

        static byte Byte(float x) => (byte)Math.Clamp(x * 255, 0, 255);
    }
}
