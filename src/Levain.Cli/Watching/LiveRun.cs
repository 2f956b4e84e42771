using Levain.Training;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Levain.Cli.Watching;

/// <summary>A bar and a line that move on a terminal; what is told once scrolls by above them.</summary>
internal sealed class LiveRun : IProgress<RunEvent>
{
    private const int BarWidth = 40;
    private static readonly TimeSpan Every = TimeSpan.FromMilliseconds(100);
    private readonly IAnsiConsole console;
    private readonly LiveDisplayContext display;
    private readonly RunPace pace = new(TimeProvider.System);
    private long drawnAt;

    private LiveRun(IAnsiConsole console, LiveDisplayContext display) => (this.console, this.display) = (console, display);

    public static T Show<T>(IAnsiConsole console, Func<IProgress<RunEvent>, T> work) =>
        console.Live(new Text("")).Start(display => work(new LiveRun(console, display)));

    public void Report(RunEvent value)
    {
        if (RunNotes.For(value) is { } note) console.MarkupLine(note);
        switch (value)
        {
            case Preparing preparing:
                Draw(preparing.Phase, preparing.Done, preparing.Total, "", always: preparing.Done == preparing.Total);
                break;
            case StepDone step:
                pace.Add(step);
                Draw("training", step.Step, step.Steps, null, always: step.Step == step.Steps);
                break;
        }
    }

    private void Draw(string what, int done, int total, string? line, bool always)
    {
        if (!always && drawnAt != 0 && TimeProvider.System.GetElapsedTime(drawnAt) < Every) return;
        drawnAt = TimeProvider.System.GetTimestamp();
        var share = total > 0 ? Math.Clamp((double)done / total, 0, 1) : 1;
        var filled = (int)Math.Round(share * BarWidth);
        IRenderable bar = new Markup(
            $"{Markup.Escape(what)}  [orange1]{new string('━', filled)}[/][grey]{new string('━', BarWidth - filled)}[/]  {done}/{total}");
        display.UpdateTarget(new Rows(bar, new Markup($"[grey]{Markup.Escape(line ?? pace.ToString())}[/]")));
        display.Refresh();
    }
}
