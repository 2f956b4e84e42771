using Levain.Core;
using Levain.Data;
using static TorchSharp.torch;

namespace Levain.Generation;

/// <summary>Pixels, 8 bits a channel, red green blue, row by row.</summary>
/// <param name="Size">Width and height in px.</param>
/// <param name="Rgb">3 × width × height bytes.</param>
public sealed record Picture(PixelSize Size, byte[] Rgb)
{
    /// <summary>Reads a picture file: upright, on white where it is transparent.</summary>
    /// <exception cref="ImageException">It cannot be read; the message says why.</exception>
    public static Picture Open(string path)
    {
        var pixels = ImageReader.Read(path, Compat.Sound).Pixels;
        return new(pixels.Size, pixels.Data);
    }

    /// <summary>Turns a decoded picture into pixels, rounding down as the webui does.</summary>
    /// <param name="image">[3, H, W] or [1, 3, H, W], −1..1; values beyond are cut off.</param>
    public static Picture Of(Tensor image)
    {
        using var scope = NewDisposeScope();
        if (image.dim() == 4) image = image.squeeze(0);
        return OfLevels(((image.to(ScalarType.Float32).cpu() + 1) / 2).clamp(0, 1) * byte.MaxValue);
    }

    /// <summary>The picture as a tensor, [1, 3, H, W], −1..1; the caller's scope owns it.</summary>
    public Tensor ToTensor()
    {
        using var scope = NewDisposeScope();
        var levels = tensor(Rgb, Size.Height, Size.Width, 3).permute(2, 0, 1).unsqueeze(0).to(ScalarType.Float32);
        return (levels / byte.MaxValue * 2 - 1).contiguous().MoveToOuterDisposeScope();
    }

    /// <param name="levels">[3, H, W], 0..255; fractions are cut off.</param>
    internal static Picture OfLevels(Tensor levels)
    {
        using var scope = NewDisposeScope();
        var bytes = levels.to(ScalarType.Byte).permute(1, 2, 0).contiguous();
        return new(new((int)levels.shape[2], (int)levels.shape[1]), bytes.data<byte>().ToArray());
    }
}
