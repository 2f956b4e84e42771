using System.IO.Compression;

namespace Levain.Formats.Embeddings;

/// <summary>
/// An embedding in the colours of a picture's border: two blocks of pixels left and right of it, parted by black columns. The low four bits of
/// every colour, freed of a fixed noise in the left block, are the low and high halves of a zlib stream's bytes.
/// </summary>
/// <remarks>lllyasviel/stable-diffusion-webui-forge, <c>modules/textual_inversion/image_embedding.py</c>.</remarks>
internal static class HiddenPixels
{
    private const int Channels = 3;
    private const int MaxBytes = 64 << 20;

    /// <summary>The hidden bytes, or null where the picture hides none.</summary>
    /// <param name="pixels">[height, width, 3], as they were stored.</param>
    /// <param name="across">Width in px.</param>
    /// <exception cref="InvalidDataException">There is something, but it does not unpack.</exception>
    public static byte[]? Read(byte[] pixels, int across)
    {
        if (Crop(pixels, across, pixels.Length / Channels / across) is not var (left, top, right, bottom)) return null;

        // Columns whose low halves are all zero part the blocks from the picture between them.
        var dark = Enumerable.Range(left, right - left).Where(x => Enumerable.Range(top, bottom - top).All(y => Channel(x, y) is (0, 0, 0))).ToList();
        if (dark.Count < 2) return null;
        var (width, start) = (dark[0] - left, dark[^1] + 1);
        if (width == 0 || right - start != width) return null;

        var packed = new byte[width * (bottom - top) * Channels];
        var (at, noise) = (0, 0u);
        for (var y = top; y < bottom; y++)
        {
            for (var x = 0; x < width; x++)
            {
                for (var c = 0; c < Channels; c++, at++)
                {
                    noise = unchecked(1664525 * noise + 1013904223); // Numerical Recipes' generator, from 0
                    var mask = noise % 255 & 0xf;
                    packed[at] = (byte)((Low(left + x, y, c) ^ mask) | (Low(start + x, y, c) ^ mask) << 4);
                }
            }
        }
        return Inflate(packed);

        uint Low(int x, int y, int c) => pixels[(y * across + x) * Channels + c] & 0xfu;
        (uint, uint, uint) Channel(int x, int y) => (Low(x, y, 0), Low(x, y, 1), Low(x, y, 2));
    }

    /// <summary>Unpacks the start of <paramref name="packed"/>; bytes behind the stream are padding.</summary>
    private static byte[] Inflate(byte[] packed)
    {
        using var zlib = new ZLibStream(new MemoryStream(packed), CompressionMode.Decompress);
        var buffer = new byte[1 << 16];
        using var bytes = new MemoryStream();
        for (int count; (count = zlib.Read(buffer)) > 0;)
        {
            if (bytes.Length + count > MaxBytes) throw new InvalidDataException("it unpacks to more than any embedding.");
            bytes.Write(buffer, 0, count);
        }
        return bytes.ToArray();
    }

    /// <summary>The box of pixels with some light in every channel; null where there are none.</summary>
    private static (int Left, int Top, int Right, int Bottom)? Crop(byte[] pixels, int width, int height)
    {
        var (left, top, right, bottom) = (width, height, 0, 0);
        for (var y = 0; y < height; y++)
        {
            for (var x = 0; x < width; x++)
            {
                var at = (y * width + x) * Channels;
                if (pixels[at] == 0 || pixels[at + 1] == 0 || pixels[at + 2] == 0) continue;
                (left, top, right, bottom) = (Math.Min(left, x), Math.Min(top, y), Math.Max(right, x + 1), Math.Max(bottom, y + 1));
            }
        }
        return left < right ? (left, top, right, bottom) : null;
    }
}
