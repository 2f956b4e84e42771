namespace Levain.Generation;

/// <summary>Fills what a mask cuts out with the colours around it: ever sharper blurs of the rest laid over one another.</summary>
/// <remarks>AUTOMATIC1111's webui, <c>masking.fill</c>; blurs as Pillow's, three box blurs of fractional radius.</remarks>
internal static class HoleFilling
{
    private const int Boxes = 3, Channels = 4;

    private static readonly (double Radius, int Times)[] Layers = [(256, 1), (64, 1), (16, 2), (4, 4), (2, 2), (0, 1)];

    public static Picture Fill(Picture picture, GrayMask mask)
    {
        var (width, height) = (picture.Size.Width, picture.Size.Height);
        var rest = new float[width * height * Channels];                                       // premultiplied, 0..1
        for (var i = 0; i < width * height; i++)
        {
            var alpha = 1 - mask.Levels[i] / 255f;
            for (var c = 0; c < 3; c++) rest[Channels * i + c] = picture.Rgb[3 * i + c] / 255f * alpha;
            rest[Channels * i + 3] = alpha;
        }
        var result = new float[rest.Length];
        foreach (var (radius, times) in Layers)
        {
            var layer = Blurred(rest, width, height, radius);
            for (var n = 0; n < times; n++)
                for (var i = 0; i < result.Length; i++) result[i] = layer[i] + result[i] * (1 - layer[i - i % Channels + 3]);
        }
        return new(picture.Size, [.. Enumerable.Range(0, width * height * 3).Select(i =>
        {
            var (pixel, channel) = (i / 3, i % 3);
            var alpha = result[Channels * pixel + 3];
            return (byte)Math.Clamp(Math.Round(255 * (alpha > 0 ? result[Channels * pixel + channel] / alpha : 0)), 0, 255);
        })]);
    }

    private static float[] Blurred(float[] image, int width, int height, double deviation)
    {
        if (deviation == 0) return image;
        // The radius of a box whose three passes have this deviation, its outermost px counted by a fraction.
        var variance = deviation * deviation / Boxes;
        var whole = Math.Floor((Math.Sqrt(12 * variance + 1) - 1) / 2);
        var radius = whole + (2 * whole + 1) * (whole * (whole + 1) - 3 * variance) / (6 * (variance - (whole + 1) * (whole + 1)));
        for (var pass = 0; pass < Boxes; pass++) image = Box(image, width, height, radius, 1, width);
        for (var pass = 0; pass < Boxes; pass++) image = Box(image, height, width, radius, width, 1);
        return image;
    }

    /// <summary>One pass along lines of <paramref name="length"/> px that are <paramref name="step"/> px apart; edges are repeated.</summary>
    private static float[] Box(float[] image, int length, int lines, double radius, int step, int stride)
    {
        var result = new float[image.Length];
        var (whole, share) = ((int)radius, (float)(radius - Math.Floor(radius)));
        var size = (float)(2 * radius + 1);
        for (var line = 0; line < lines; line++)
        {
            for (var c = 0; c < Channels; c++)
            {
                double sum = 0;
                for (var i = -whole; i <= whole; i++) sum += At(i);
                for (var i = 0; i < length; i++)
                {
                    result[Index(i)] = (float)((sum + share * (At(i - whole - 1) + At(i + whole + 1))) / size);
                    sum += At(i + whole + 1) - At(i - whole);
                }

                int Index(int i) => (line * stride + i * step) * Channels + c;
                float At(int i) => image[Index(Math.Clamp(i, 0, length - 1))];
            }
        }
        return result;
    }
}
