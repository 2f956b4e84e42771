using Levain.Training;

namespace Levain.Cli.Watching;

/// <summary>Shows a run on standard error while it works: live on a terminal, plain lines when piped, JSON lines under <c>--json</c>.</summary>
internal static class RunWatch
{
    /// <summary>Runs <paramref name="work"/>, which reports to the listener it is given, and returns its result.</summary>
    public static T Show<T>(Screen screen, Func<IProgress<RunEvent>, T> work) =>
        screen.Json ? work(new JsonEvents(TimeProvider.System))
        : screen.IsLive ? LiveRun.Show(screen.Notes, work)
        : work(new PlainRun(screen, TimeProvider.System));
}
