using System.Runtime.InteropServices;
using Levain.Core;
using SkiaSharp;

namespace Levain.Data;

/// <summary>A picture as training takes it.</summary>
/// <param name="Pixels">Upright pixels: RGB, or RGBA where the alpha channel was asked for.</param>
/// <param name="Header">What the file says of itself.</param>
/// <param name="HasAlpha">Whether the file has an alpha channel or a transparent colour.</param>
/// <param name="Warning">What the decoder complained of while it went on; null where all is well.</param>
public sealed record ReadImage(Pixels Pixels, ImageHeader Header, bool HasAlpha, string? Warning);

/// <summary>Decodes pictures. By default they are read as a viewer shows them: turned upright, on white where transparent, in sRGB, 16 bits scaled to 8.</summary>
public static class ImageReader
{
    private const byte White = 255;

    /// <summary>Reads a picture file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="compat">Under <see cref="Compat.RawPixels"/> the stored values are taken as kohya takes them: rotation and alpha ignored, 16-bit gray clipped.</param>
    /// <param name="alpha">Keep the alpha channel as the fourth; opaque where the file has none.</param>
    /// <exception cref="ImageException">The file cannot be read; the message says why.</exception>
    public static ReadImage Read(string path, Compat compat, bool alpha = false) => Read(File.ReadAllBytes(path), compat, alpha);

    /// <summary>Reads a picture file's bytes.</summary>
    /// <exception cref="ImageException">The picture cannot be read; the message says why.</exception>
    public static ReadImage Read(byte[] bytes, Compat compat, bool alpha = false)
    {
        var header = ImageHeader.Read(new MemoryStream(bytes, writable: false));
        string? warning = null;
        var (pixels, hasAlpha) = header.Format == ImageFormat.Bmp
            ? (ReadBmp(bytes), false)
            : VipsReader.Read(bytes, compat.RawPixels, out warning);
        if (header.Format == ImageFormat.Avif) ChromaSmoothing.Apply(pixels);
        if (!compat.RawPixels)
        {
            pixels = pixels.Upright(header.Orientation);
            if (hasAlpha) OnWhite(pixels);
        }
        return new(alpha ? pixels : WithoutAlpha(pixels), header, hasAlpha, warning);
    }

    /// <summary>The stored values of a picture that was kept without loss, RGB: no profile, no rotation, no interpolated colour.</summary>
    /// <exception cref="ImageException">The file cannot be read; the message says why.</exception>
    public static Pixels ReadStored(string path) => WithoutAlpha(VipsReader.Read(File.ReadAllBytes(path), raw: true, out _).Pixels);

    // libvips reads no BMP. Whatever alpha such a file has is not meant to be seen.
    private static Pixels ReadBmp(byte[] bytes)
    {
        using var data = SKData.CreateCopy(bytes);
        using var codec = SKCodec.Create(data) ?? throw new ImageException(ImageFault.Corrupt, "is a damaged or unusual BMP file. Replace it or convert it to PNG.");
        var layout = new SKImageInfo(codec.Info.Width, codec.Info.Height, SKColorType.Rgba8888, SKAlphaType.Unpremul);
        var pixels = new Pixels(new(layout.Width, layout.Height), 4);
        var handle = GCHandle.Alloc(pixels.Data, GCHandleType.Pinned);
        try
        {
            var result = codec.GetPixels(layout, handle.AddrOfPinnedObject());
            if (result == SKCodecResult.IncompleteInput) throw new ImageException(ImageFault.Corrupt, "is cut off. Replace the file.");
            if (result != SKCodecResult.Success) throw new ImageException(ImageFault.Corrupt, $"is damaged: {result}. Replace the file.");
        }
        finally
        {
            handle.Free();
        }
        for (long i = 3; i < pixels.Data.Length; i += 4) pixels.Data[i] = White;
        return pixels;
    }

    private static void OnWhite(Pixels pixels)
    {
        var data = pixels.Data;
        for (long i = 0; i < data.Length; i += 4)
        {
            var alpha = data[i + 3];
            if (alpha == 255) continue;
            for (var c = 0; c < 3; c++) data[i + c] = (byte)(VipsReader.Scale255(data[i + c], alpha) + 255 - alpha);
        }
    }

    private static Pixels WithoutAlpha(Pixels pixels)
    {
        var rgb = new Pixels(pixels.Size, 3);
        var (from, to) = (pixels.Data, rgb.Data);
        for (long i = 0, o = 0; o < to.Length; i += 4, o += 3)
        {
            to[o] = from[i];
            to[o + 1] = from[i + 1];
            to[o + 2] = from[i + 2];
        }
        return rgb;
    }
}
