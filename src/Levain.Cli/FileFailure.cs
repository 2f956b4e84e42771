namespace Levain.Cli;

/// <summary>Puts the system's refusals to read or write into words that say what to do.</summary>
internal static class FileFailure
{
    private const int UnixNoSpace = 28, UnixQuota = 122, WindowsDiskFull = unchecked((int)0x80070070);

    /// <summary>One sentence, and what to do about it.</summary>
    public static string Explain(Exception exception) => exception switch
    {
        FileNotFoundException { FileName: { Length: > 0 } file } => $"{file}: is not there. Check the path.",
        DirectoryNotFoundException or FileNotFoundException => $"{exception.Message} Check the path.",
        UnauthorizedAccessException => $"{exception.Message} Change its permissions, or choose another folder.",
        { HResult: UnixNoSpace or UnixQuota or WindowsDiskFull } =>
            $"{exception.Message.TrimEnd('.')}. The disk is full: make room, then go on with --resume; files already written are whole.",
        _ => exception.Message,
    };
}
