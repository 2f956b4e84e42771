using System.Security.Cryptography;
using Levain.Core;

namespace Levain.Data;

/// <summary>Looks a picture over before training and says what its owner should know.</summary>
public static class ImageExamination
{
    private const int SmallSide = 64;
    private const double ExtremeAspect = 8;

    /// <summary>From the header alone.</summary>
    /// <exception cref="ImageException">The picture cannot be used.</exception>
    public static (ImageHeader Header, IReadOnlyList<ImageNote> Notes) Header(string path)
    {
        var header = ImageHeader.Read(path);
        return (header, NotesOf(path, header));
    }

    /// <summary>From all pixels: the picture is decoded.</summary>
    /// <param name="path">The file.</param>
    /// <param name="compat">How it is read.</param>
    /// <param name="hashed">Told the hash of the file's bytes.</param>
    /// <exception cref="ImageException">The picture cannot be used.</exception>
    public static (ImageHeader Header, IReadOnlyList<ImageNote> Notes) Pixels(string path, Compat compat, Action<string>? hashed = null)
    {
        var bytes = File.ReadAllBytes(path);
        hashed?.Invoke(Convert.ToHexString(SHA256.HashData(bytes)));
        var read = ImageReader.Read(bytes, compat, alpha: true);
        var notes = NotesOf(path, read.Header);
        if (read.Warning is { } warning) notes.Add(new(path, $"is damaged, but was read: {warning}. Look at it, or replace it."));
        var data = read.Pixels.Data;
        if (read.HasAlpha && !Any(data, (at, first) => data[at + 3] != 0))
            notes.Add(new(path, compat.RawPixels ? "is wholly transparent; the colours hidden under it would be trained. Remove it." : "is wholly transparent and would be trained as plain white. Remove it."));
        else if (!Any(data, (at, first) => data[at] != data[0] || data[at + 1] != data[1] || data[at + 2] != data[2]))
            notes.Add(new(path, "has one flat colour: a failed render? Remove it unless it is meant."));
        return (read.Header, notes);
    }

    private static List<ImageNote> NotesOf(string path, ImageHeader header)
    {
        var notes = new List<ImageNote>();
        var extension = Path.GetExtension(path).ToLowerInvariant();
        if (!ExtensionsOf(header.Format).Contains(extension))
            notes.Add(new(path, $"holds a {header.Format.ToString().ToUpperInvariant()} picture under the ending '{extension}'. It is used; rename it to be clear."));
        if (header.Animated) notes.Add(new(path, "is animated; only its first frame is used."));
        var (width, height) = (header.Size.Width, header.Size.Height);
        if (Math.Max(width, height) > ExtremeAspect * Math.Min(width, height))
            notes.Add(new(path, $"is {header.Size} px: so narrow that most of it is cut away. Crop it yourself, or remove it."));
        else if (Math.Max(width, height) < SmallSide)
            notes.Add(new(path, $"is {header.Size} px, far below the size of training; enlarged it is only blur. Remove it, or find a larger one."));
        return notes;
    }

    private static string[] ExtensionsOf(ImageFormat format) => format switch
    {
        ImageFormat.Jpeg => [".jpg", ".jpeg"],
        ImageFormat.Tiff => [".tif", ".tiff"],
        _ => ["." + format.ToString().ToLowerInvariant()],
    };

    private static bool Any(byte[] rgba, Func<int, byte, bool> holds)
    {
        for (var at = 0; at + 3 < rgba.Length; at += 4)
            if (holds(at, rgba[0])) return true;
        return false;
    }
}
