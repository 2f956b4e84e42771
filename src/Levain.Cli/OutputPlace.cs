using Levain.Core;

namespace Levain.Cli;

/// <summary>Looks whether something can be written where it is to go, before hours are spent on it.</summary>
internal static class OutputPlace
{
    /// <summary>Adds a problem where a file cannot be written.</summary>
    /// <param name="file">Its path; the folders above it need not be there.</param>
    /// <param name="option">What named it.</param>
    public static void CheckFile(string file, string option, Problems problems)
    {
        if (file.Length == 0) return;           // told by its ending
        if (Directory.Exists(file)) problems.Add(option, $"is {file}, which is a folder.", "Name a file in it.");
        else if (Path.GetDirectoryName(Path.GetFullPath(file)) is { } folder) CheckFolder(folder, option, problems);
    }

    /// <summary>Adds a problem where no file can be written into a folder.</summary>
    /// <param name="folder">Its path; it and the folders above it need not be there.</param>
    /// <param name="option">What named it.</param>
    public static void CheckFolder(string folder, string option, Problems problems)
    {
        if (folder.Length == 0)
        {
            problems.Add(option, "is an empty name.", "Name a folder.");
            return;
        }
        for (var at = Path.GetFullPath(folder); at is not null; at = Path.GetDirectoryName(at))
        {
            if (File.Exists(at))
            {
                problems.Add(option, $"lies in {at}, which is a file and no folder.", "Choose another place.");
                return;
            }
            if (!Directory.Exists(at)) continue;
            if (Refusal(at) is { } refusal) problems.Add(option, $"lies in {at}, where nothing can be written: {refusal}", "Change its permissions, or choose another place.");
            return;
        }
    }

    private static string? Refusal(string folder)
    {
        try
        {
            using var probe = new FileStream(Path.Combine(folder, $".levain-{Guid.NewGuid():N}.tmp"), FileMode.CreateNew, FileAccess.Write, FileShare.None, 1, FileOptions.DeleteOnClose);
            return null;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return failure is UnauthorizedAccessException ? "it is not allowed." : $"{failure.Message.TrimEnd('.')}.";
        }
    }
}
