using Levain.Core;

namespace Levain.Data;

/// <summary>Pillow's own filters by name, for programs whose pictures depend on its rounding (the webui).</summary>
public static class PillowFilter
{
    private const double CubicBend = -0.5;
    private const int LanczosReach = 3, CubicReach = 2;

    /// <summary>Resamples with Lanczos' filter; gives the picture itself if it has the size already.</summary>
    public static Pixels Lanczos(Pixels source, PixelSize size) =>
        size == source.Size ? source : PillowResampling.Resize(source, size, PillowResampling.Lanczos, LanczosReach);

    /// <summary>Resamples with a bicubic filter (a = −0.5), antialiased; gives the picture itself if it has the size already.</summary>
    public static Pixels Bicubic(Pixels source, PixelSize size) =>
        size == source.Size ? source : PillowResampling.Resize(source, size, Cubic, CubicReach);

    private static double Cubic(double x)
    {
        x = Math.Abs(x);
        if (x < 1) return ((CubicBend + 2) * x - (CubicBend + 3)) * x * x + 1;
        return x < 2 ? (((x - 5) * x + 8) * x - 4) * CubicBend : 0;
    }
}
