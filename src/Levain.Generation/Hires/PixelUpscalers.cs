using Levain.Core;

namespace Levain.Generation;

public static partial class Upscalers
{
    /// <summary>Lanczos' filter.</summary>
    public static Upscaler Lanczos { get; } = new("Lanczos", "Pictures, Lanczos' filter") { Pictures = (picture, size) => picture.Stretched(size) };

    /// <summary>The nearest px.</summary>
    public static Upscaler NearestPixel { get; } = new("Nearest", "Pictures, nearest px") { Pictures = Repeated };

    /// <summary>Lanczos' filter, as the webui does where no upscaler is chosen.</summary>
    public static Upscaler None { get; } = new("None", "Pictures, plain Lanczos") { Pictures = (picture, size) => picture.Stretched(size) };

    private static Picture Repeated(Picture picture, PixelSize size)
    {
        var rgb = new byte[3 * size.Area];
        for (var y = 0; y < size.Height; y++)
        {
            var row = (int)((y + 0.5) * picture.Size.Height / size.Height);
            for (var x = 0; x < size.Width; x++)
                picture.Rgb.AsSpan(3 * (row * picture.Size.Width + (int)((x + 0.5) * picture.Size.Width / size.Width)), 3).CopyTo(rgb.AsSpan(3 * (y * size.Width + x)));
        }
        return new(size, rgb);
    }
}
