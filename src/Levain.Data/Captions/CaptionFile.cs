using System.Text;
using Levain.Core;

namespace Levain.Data;

/// <summary>The text file beside a picture that holds its caption.</summary>
public static class CaptionFile
{
    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>The caption file of a picture, or null: same name with another ending, or, where the name ends in four parts of a face (<c>_cx_cy_w_h</c>), the name without them.</summary>
    /// <param name="picture">The picture's path.</param>
    /// <param name="extension">Ending of caption files; a missing dot is added.</param>
    public static string? Find(string picture, string extension)
    {
        if (!extension.StartsWith('.')) extension = "." + extension;
        var stem = picture[..^Path.GetExtension(picture).Length];
        if (File.Exists(stem + extension)) return stem + extension;
        // kohya counts the parts of the whole path, folders included.
        var parts = stem.Split('_');
        if (parts.Length < 5) return null;
        var withoutFace = string.Join('_', parts[..^4]) + extension;
        return File.Exists(withoutFace) ? withoutFace : null;
    }

    /// <summary>The caption in a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="everyLine">Take all lines that are not blank (for wildcards) instead of the first line.</param>
    /// <exception cref="DatasetException">The file is empty, or is not UTF-8.</exception>
    public static string Read(string path, bool everyLine)
    {
        string text;
        try
        {
            text = StrictUtf8.GetString(File.ReadAllBytes(path));
        }
        catch (DecoderFallbackException e)
        {
            throw new DatasetException(path, $"is not UTF-8 text (byte {e.Index:N0} cannot be read). Save it as UTF-8.", e);
        }
        var lines = PythonText.Lines(text);
        if (lines.Count == 0) throw new DatasetException(path, "is empty. Write a caption, or delete the file to use the class tokens.");
        return everyLine
            ? string.Join('\n', lines.Select(PythonText.Strip).Where(line => line.Length > 0))
            : PythonText.Strip(lines[0]);
    }
}
