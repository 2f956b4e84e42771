namespace Levain.Data;

/// <summary>Interpolates colour that a decoder left in blocks of 2x2 pixels.</summary>
/// <remarks>libheif repeats the half-size colour planes of AVIF files; every other reader interpolates them, with weights 9, 3, 3, 1. Brightness is stored at full
/// size and stays as it is.</remarks>
internal static class ChromaSmoothing
{
    // Shares of red and blue in brightness (ITU-R BT.601), which AVIF encoders use unless told otherwise.
    private const double RedShare = 0.299, BlueShare = 0.114;

    // Differences of two rounded channels within a block scatter by this much.
    private const int Scatter = 3;

    /// <summary>Smooths RGBA in place, if its colour differences are constant in blocks.</summary>
    public static void Apply(Pixels picture)
    {
        var (columns, rows) = ((picture.Width + 1) / 2, (picture.Height + 1) / 2);
        var (red, blue) = (new double[columns * rows], new double[columns * rows]);
        for (var y = 0; y < rows; y++)
            for (var x = 0; x < columns; x++)
                if (!Block(picture, 2 * x, 2 * y, out red[y * columns + x], out blue[y * columns + x])) return;
        for (var y = 0; y < picture.Height; y++)
            for (var x = 0; x < picture.Width; x++)
            {
                var pixel = picture.Row(y).Slice(4 * x, 4);
                var block = y / 2 * columns + x / 2;
                var luma = Luma(pixel, red[block], blue[block]);
                var (redness, blueness) = (Between(red, columns, rows, picture.Width, x, y), Between(blue, columns, rows, picture.Width, x, y));
                var green = luma - RedShare * redness - BlueShare * blueness;
                (pixel[0], pixel[1], pixel[2]) = (Byte(green + redness), Byte(green), Byte(green + blueness));
            }
    }

    // Red minus green and blue minus green depend on colour alone. Clipped values tell nothing, unless there are no others.
    private static bool Block(Pixels picture, int left, int top, out double red, out double blue)
    {
        red = Difference(picture, left, top, channel: 0, out var redAgrees);
        blue = Difference(picture, left, top, channel: 2, out var blueAgrees);
        return redAgrees && blueAgrees;
    }

    private static double Difference(Pixels picture, int left, int top, int channel, out bool agrees)
    {
        var (sum, count, low, high, clipped, pixels) = (0.0, 0, 255, -255, 0.0, 0);
        for (var y = top; y < Math.Min(top + 2, picture.Height); y++)
            for (var x = left; x < Math.Min(left + 2, picture.Width); x++)
            {
                var pixel = picture.Row(y).Slice(4 * x, 4);
                var difference = pixel[channel] - pixel[1];
                (clipped, pixels) = (clipped + difference, pixels + 1);
                if (!IsWhole(pixel[channel]) || !IsWhole(pixel[1])) continue;
                (sum, count, low, high) = (sum + difference, count + 1, Math.Min(low, difference), Math.Max(high, difference));
            }
        agrees = high - low <= Scatter;
        return count > 0 ? sum / count : clipped / pixels;
    }

    private static double Luma(ReadOnlySpan<byte> pixel, double red, double blue)
    {
        var (sum, count) = (0.0, 0);
        if (IsWhole(pixel[0])) (sum, count) = (sum + pixel[0] - red, count + 1);
        if (IsWhole(pixel[1])) (sum, count) = (sum + pixel[1], count + 1);
        if (IsWhole(pixel[2])) (sum, count) = (sum + pixel[2] - blue, count + 1);
        return (count == 0 ? pixel[1] : sum / count) + RedShare * red + BlueShare * blue;
    }

    private static double Between(double[] plane, int columns, int rows, int width, int x, int y)
    {
        var (nearX, nearY) = (x / 2, y / 2);
        // As libyuv: the last column takes its own colour, also where the width is odd.
        var farX = x == width - 1 ? nearX : Math.Clamp(nearX + (x % 2 == 0 ? -1 : 1), 0, columns - 1);
        var farY = Math.Clamp(nearY + (y % 2 == 0 ? -1 : 1), 0, rows - 1);
        return (9 * plane[nearY * columns + nearX] + 3 * plane[nearY * columns + farX] + 3 * plane[farY * columns + nearX] + plane[farY * columns + farX]) / 16;
    }

    private static bool IsWhole(byte value) => value is > 0 and < 255;

    private static byte Byte(double value) => (byte)Math.Clamp(Math.Round(value), 0, 255);
}
