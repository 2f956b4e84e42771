using System.Security.Cryptography;
using System.Text;
using Levain.Core;

namespace Levain.Data;

/// <summary>Names the latents of a picture by everything they depend on.</summary>
internal static class LatentKey
{
    // Raised whenever pictures come out differently from the same settings.
    private const int Version = 1;

    /// <summary>Lower-case hexadecimal SHA-256 of the file's bytes, the way it is read, resampled, cut and mirrored, and the encoder.</summary>
    public static string Of(byte[] file, Sample sample, PixelSize size, string? interpolation, bool alpha, Compat compat, string encoder)
    {
        var text = $"levain latents {Version}\n{Convert.ToHexString(SHA256.HashData(file))}\n{encoder}\nraw {compat.RawPixels}\nalpha {alpha}\n"
            + $"resized {sample.Resized} {interpolation}\ncut {sample.CropLeft},{sample.CropTop} {size}\nflipped {sample.Flipped}\n";
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
    }
}
