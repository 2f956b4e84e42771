using System.Globalization;
using Levain.Training;
using Spectre.Console;

namespace Levain.Cli.Watching;

/// <summary>The words for events that are told once, in the same way live and piped.</summary>
internal static class RunNotes
{
    /// <summary>Markup for the event, or null where it is part of the moving progress.</summary>
    public static string? For(RunEvent value) => value switch
    {
        Validated judged => $"step {judged.Step}: validation loss {judged.Loss.ToString("0.0000", CultureInfo.InvariantCulture)}{(judged.Best ? ", the lowest so far" : "")}",
        NetworkSaved network => $"[green]saved[/] {Markup.Escape(network.Path)}",
        SnapshotSaved snapshot => $"[grey]snapshot of step {snapshot.Step}: {Markup.Escape(snapshot.Path)}[/]",
        PictureDrawn picture => $"[green]drawn[/] {Markup.Escape(picture.Path)}",
        RunWarned warning => $"[yellow]note:[/] {Markup.Escape(warning.Message)}",
        _ => null,
    };
}
