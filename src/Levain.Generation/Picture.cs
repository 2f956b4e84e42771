using Levain.Core;
using static TorchSharp.torch;

namespace Levain.Generation;

/// <summary>Pixels, 8 bits a channel, red green blue, row by row.</summary>
/// <param name="Size">Width and height in px.</param>
/// <param name="Rgb">3 × width × height bytes.</param>
public sealed record Picture(PixelSize Size, byte[] Rgb)
{
    /// <summary>Turns a decoded picture into pixels, rounding down as the webui does.</summary>
    /// <param name="image">[3, H, W] or [1, 3, H, W], −1..1; values beyond are cut off.</param>
    public static Picture Of(Tensor image)
    {
        using var scope = NewDisposeScope();
        if (image.dim() == 4) image = image.squeeze(0);
        var levels = ((image.to(ScalarType.Float32).cpu() + 1) / 2).clamp(0, 1) * byte.MaxValue;
        var bytes = levels.to(ScalarType.Byte).permute(1, 2, 0).contiguous();
        return new(new((int)image.shape[2], (int)image.shape[1]), bytes.data<byte>().ToArray());
    }
}
