using Levain.Training;
using Spectre.Console;

namespace Levain.Cli.Watching;

/// <summary>Progress for a log file: a line for the first step, then at most one every few seconds, and one for the last.</summary>
internal sealed class PlainRun(Screen screen, TimeProvider clock) : IProgress<RunEvent>
{
    private static readonly TimeSpan Every = TimeSpan.FromSeconds(5);
    private readonly RunPace pace = new(clock);
    private long toldAt;
    private string phase = "";

    public void Report(RunEvent value)
    {
        if (RunNotes.For(value) is { } note) screen.Note(note);
        switch (value)
        {
            case Preparing preparing when preparing.Phase != phase || preparing.Done == preparing.Total || Due():
                phase = preparing.Phase;
                Tell($"{preparing.Phase} {preparing.Done}/{preparing.Total}");
                break;
            case StepDone step:
                pace.Add(step);
                if (step.Step == 1 || step.Step == step.Steps || Due()) Tell($"step {step.Step}/{step.Steps} · {pace}");
                break;
        }
    }

    private bool Due() => toldAt == 0 || clock.GetElapsedTime(toldAt) >= Every;

    private void Tell(string line)
    {
        toldAt = clock.GetTimestamp();
        screen.Note(Markup.Escape(line));
    }
}
