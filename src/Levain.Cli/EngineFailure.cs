namespace Levain.Cli;

/// <summary>Explains why libtorch, or another native library, could not be loaded.</summary>
internal static class EngineFailure
{
    /// <summary>What is missing and what to do, or null where the exception is about something else.</summary>
    public static string? Explain(Exception exception)
    {
        for (var cause = exception; cause is not null; cause = cause.InnerException)
        {
            if (cause is DllNotFoundException or BadImageFormatException or EntryPointNotFoundException
                || cause is NotSupportedException && cause.Message.Contains("libtorch", StringComparison.OrdinalIgnoreCase))
                return $"A native library cannot be loaded: {FirstLine(cause.Message)} Run 'levain doctor', which says which one and what to do.";
        }
        return null;
    }

    private static string FirstLine(string text)
    {
        var end = text.AsSpan().IndexOfAny('\r', '\n');
        var line = (end < 0 ? text : text[..end]).Trim();
        return line.EndsWith('.') ? line : line + ".";
    }
}
