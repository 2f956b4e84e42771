using Levain.Core;
using Levain.Data;

namespace Levain.Generation;

/// <summary>How a picture of another shape is brought to the size drawn; the webui's resize modes.</summary>
public enum ResizeMode
{
    /// <summary>Stretched.</summary>
    JustResize,

    /// <summary>Cut at the sides that are too long.</summary>
    CropAndResize,

    /// <summary>Whole, the rest filled with its edges.</summary>
    ResizeAndFill,

    /// <summary>Stretched as a latent.</summary>
    LatentUpscale,
}

/// <summary>Brings pictures to another size as the webui does: Lanczos' filter, its three ways of treating other shapes.</summary>
/// <remarks>AUTOMATIC1111's webui, <c>images.resize_image</c>.</remarks>
internal static class PictureFit
{
    public static Picture To(this Picture picture, PixelSize size, ResizeMode mode) => mode switch
    {
        ResizeMode.CropAndResize => Covering(picture, size),
        ResizeMode.ResizeAndFill => Within(picture, size),
        _ => Stretched(picture, size),
    };

    public static Picture Stretched(this Picture picture, PixelSize size) =>
        size == picture.Size ? picture : Of(PillowFilter.Lanczos(PixelsOf(picture), size));

    public static Picture Cropped(this Picture picture, PixelArea area) => Of(PixelsOf(picture).Crop(area.Left, area.Top, area.Size));

    public static GrayMask To(this GrayMask mask, PixelSize size, ResizeMode mode) => GrayMask.Of(mask.AsPicture().To(size, mode));

    public static GrayMask Cropped(this GrayMask mask, PixelArea area) => GrayMask.Of(mask.AsPicture().Cropped(area));

    public static Pixels PixelsOf(Picture picture) => new(picture.Size, 3, picture.Rgb);

    public static Picture Of(Pixels pixels) => new(pixels.Size, pixels.Data);

    private static Picture Covering(Picture picture, PixelSize size)
    {
        var (width, height) = (picture.Size.Width, picture.Size.Height);
        var wider = (double)size.Width / size.Height > (double)width / height;
        var stretched = picture.Stretched(new(wider ? size.Width : width * size.Height / height, wider ? height * size.Width / width : size.Height));
        var result = new Pixels(size, 3);
        Paste(PixelsOf(stretched), result, size.Width / 2 - stretched.Size.Width / 2, size.Height / 2 - stretched.Size.Height / 2);
        return Of(result);
    }

    private static Picture Within(Picture picture, PixelSize size)
    {
        var (width, height) = (picture.Size.Width, picture.Size.Height);
        var (ratio, own) = ((double)size.Width / size.Height, (double)width / height);
        var stretched = picture.Stretched(new(ratio < own ? size.Width : width * size.Height / height, ratio < own ? height * size.Width / width : size.Height));
        var (left, top) = (size.Width / 2 - stretched.Size.Width / 2, size.Height / 2 - stretched.Size.Height / 2);
        var (source, result) = (PixelsOf(stretched), new Pixels(size, 3));
        for (var y = 0; y < size.Height; y++)
        {
            for (var x = 0; x < size.Width; x++)
            {
                var from = source.Row(Math.Clamp(y - top, 0, source.Height - 1)).Slice(3 * Math.Clamp(x - left, 0, source.Width - 1), 3);
                from.CopyTo(result.Row(y)[(3 * x)..]);
            }
        }
        return Of(result);
    }

    private static void Paste(Pixels source, Pixels target, int left, int top)
    {
        for (var y = Math.Max(top, 0); y < Math.Min(top + source.Height, target.Height); y++)
        {
            var (from, to) = (Math.Max(left, 0), Math.Min(left + source.Width, target.Width));
            source.Row(y - top)[(3 * (from - left))..(3 * (to - left))].CopyTo(target.Row(y)[(3 * from)..]);
        }
    }

    /// <summary>A picture at a place of a black one.</summary>
    public static Picture Placed(this Picture picture, PixelArea area, PixelSize around)
    {
        var result = new Pixels(around, 3);
        Paste(PixelsOf(picture), result, area.Left, area.Top);
        return Of(result);
    }
}
