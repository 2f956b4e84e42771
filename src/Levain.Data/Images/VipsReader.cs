using Levain.Core;
using NetVips;
using VipsImage = NetVips.Image;

namespace Levain.Data;

/// <summary>Decodes everything but BMP through libvips.</summary>
internal static class VipsReader
{
    // Kept in a field: libvips calls it as long as the process lives.
    private static readonly Log.LogDelegate quiet = (_, _, _) => { };

    static VipsReader()
    {
        // Pictures are read once each, several at a time on our own threads: libvips' cache and its threads would only cost.
        Cache.Max = 0;
        NetVips.NetVips.Concurrency = 1;
        // Decoders' complaints come back with the picture; without this libvips would also print them.
        Log.SetLogHandler("VIPS", Enums.LogLevelFlags.Warning, quiet);
    }

    /// <summary>Header of a format that has no parser of its own here.</summary>
    /// <exception cref="ImageException">libvips does not open it.</exception>
    public static ImageHeader ReadHeader(Stream stream, ImageFormat format)
    {
        var bytes = new byte[stream.Length];
        stream.Position = 0;
        stream.ReadExactly(bytes);
        try
        {
            using var image = VipsImage.NewFromBuffer(bytes, access: Enums.Access.Sequential);
            return new()
            {
                Format = format,
                Stored = new(image.Width, image.Height),
                Orientation = format == ImageFormat.Tiff && image.Contains("orientation") ? Math.Clamp((int)image.Get("orientation"), 1, 8) : 1,
            };
        }
        catch (VipsException e)
        {
            throw Damaged(e);
        }
    }

    /// <summary>The pixels as stored.</summary>
    /// <param name="bytes">The whole file.</param>
    /// <param name="raw">Read as kohya does: alpha, 16 bits and CMYK treated as Pillow's <c>convert</c> treats them; no colour profile.</param>
    /// <param name="warning">What the decoder complained of, where it went on nevertheless.</param>
    /// <exception cref="ImageException">The data are damaged, or of a layout that is not read.</exception>
    public static (Pixels Pixels, bool HasAlpha) Read(byte[] bytes, bool raw, out string? warning)
    {
        warning = null;
        try
        {
            return Decode(bytes, raw, Enums.FailOn.Warning);
        }
        catch (VipsException strict)
        {
            try
            {
                var read = Decode(bytes, raw, Enums.FailOn.Error);
                warning = Reason(strict);
                return read;
            }
            catch (VipsException e)
            {
                throw Damaged(e);
            }
        }
    }

    private static (Pixels Pixels, bool HasAlpha) Decode(byte[] bytes, bool raw, Enums.FailOn failOn)
    {
        var image = VipsImage.NewFromBuffer(bytes, access: Enums.Access.Sequential, failOn: failOn);
        try
        {
            if (!raw && image.Contains("icc-profile-data")) Replace(ref image, ToSrgb(image));
            if (image.Interpretation is not (Enums.Interpretation.Srgb or Enums.Interpretation.Rgb or Enums.Interpretation.Rgb16 or Enums.Interpretation.Bw
                or Enums.Interpretation.Grey16 or Enums.Interpretation.Cmyk or Enums.Interpretation.Multiband))
                Replace(ref image, image.Colourspace(Enums.Interpretation.Srgb));
            var size = new PixelSize(image.Width, image.Height);
            var cmyk = image.Interpretation == Enums.Interpretation.Cmyk;
            var hasAlpha = !cmyk && image.Bands is 2 or 4;
            var samples = image.Format switch
            {
                Enums.BandFormat.Uchar => image.WriteToMemory<byte>(),
                Enums.BandFormat.Ushort => To8Bits(image.WriteToMemory<ushort>(), clip: raw && IsPlainGray(bytes, image.Bands), cut: raw),
                var other => throw new ImageException(ImageFault.Unsupported, $"has pixels of type {other.ToString().ToLowerInvariant()}, which are not read. Convert it to PNG."),
            };
            return (cmyk ? FromCmyk(samples, size, image.Bands) : Spread(samples, size, image.Bands), hasAlpha);
        }
        finally
        {
            image.Dispose();
        }
    }

    // A transparent shade makes a second band of a plain gray PNG; the colour type in its header tells it from gray with alpha.
    private static bool IsPlainGray(byte[] bytes, int bands)
    {
        const int colorType = 25;
        return bytes.AsSpan().StartsWith(ImageHeader.PngSignature) ? bytes[colorType] == 0 : bands == 1;
    }

    // Profiles that are broken or do not fit are common and harmless: the picture is then taken as sRGB, as viewers do.
    private static VipsImage ToSrgb(VipsImage image)
    {
        try
        {
            return image.IccTransform("srgb", embedded: true, depth: image.Format == Enums.BandFormat.Ushort ? 16 : 8);
        }
        catch (VipsException)
        {
            return image.Copy();
        }
    }

    private static void Replace(ref VipsImage image, VipsImage next)
    {
        image.Dispose();
        image = next;
    }

    // Pillow clips 16-bit gray and cuts the lower byte of 16-bit colour and of gray with alpha; scaling by 257 is right for both.
    private static byte[] To8Bits(ushort[] samples, bool clip, bool cut)
    {
        var bytes = new byte[samples.Length];
        for (var i = 0; i < samples.Length; i++)
            bytes[i] = (byte)(clip ? Math.Min(samples[i], (ushort)255) : cut ? samples[i] >> 8 : (samples[i] * 255 + 32767) / 65535);
        return bytes;
    }

    // Adobe's inverted files come upright from libvips. Plain multiplication, as Pillow and browsers do without a profile.
    private static Pixels FromCmyk(byte[] samples, PixelSize size, int bands)
    {
        var pixels = new Pixels(size, 4);
        for (long i = 0, o = 0; o < pixels.Data.Length; i += bands, o += 4)
        {
            var light = 255 - samples[i + 3];
            for (var c = 0; c < 3; c++) pixels.Data[o + c] = (byte)(light - Scale255(samples[i + c], light));
            pixels.Data[o + 3] = 255;
        }
        return pixels;
    }

    // Gray and gray with alpha become RGBA as well.
    private static Pixels Spread(byte[] samples, PixelSize size, int bands)
    {
        if (bands == 4) return new(size, 4, samples);
        var pixels = new Pixels(size, 4);
        var data = pixels.Data;
        for (long i = 0, o = 0; o < data.Length; i += bands, o += 4)
        {
            var gray = bands <= 2;
            data[o] = samples[i];
            data[o + 1] = gray ? samples[i] : samples[i + 1];
            data[o + 2] = gray ? samples[i] : samples[i + 2];
            data[o + 3] = bands switch { 2 => samples[i + 1], > 3 => samples[i + 3], _ => 255 };
        }
        return pixels;
    }

    /// <summary>a·b/255, rounded, as Pillow's MULDIV255.</summary>
    internal static int Scale255(int a, int b)
    {
        var product = a * b + 128;
        return (product >> 8) + product >> 8;
    }

    private static ImageException Damaged(VipsException e) =>
        new(ImageFault.Corrupt, $"is damaged or cut off ({Reason(e)}). Replace the file.", e);

    // The first line that says more than which function failed, without the decoder's name before it.
    private static string Reason(VipsException e)
    {
        var lines = e.Message.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        var line = lines.Length > 1 ? lines[1] : lines[0];
        return line[(line.IndexOf(": ", StringComparison.Ordinal) is >= 0 and var colon ? colon + 2 : 0)..].TrimEnd('.');
    }
}
