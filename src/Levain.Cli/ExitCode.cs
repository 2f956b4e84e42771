namespace Levain.Cli;

/// <summary>What the process tells its caller.</summary>
internal static class ExitCode
{
    /// <summary>Done as asked.</summary>
    public const int Done = 0;

    /// <summary>Something failed: a file, the dataset, the machine.</summary>
    public const int Failed = 1;

    /// <summary>The settings or the command line cannot run; nothing was started.</summary>
    public const int Settings = 2;

    /// <summary>Stopped by the user (Ctrl+C); what can be saved was saved. 128 + SIGINT.</summary>
    public const int Cancelled = 130;
}
