using Levain.Core;
using Levain.Training.Settings;
using Spectre.Console;

namespace Levain.Cli;

/// <summary>Writes run files that commands make of other programs' settings.</summary>
internal static class RunFileWriting
{
    /// <summary>Writes a new run file and says so.</summary>
    /// <param name="heading">Lines of comment at its top.</param>
    /// <exception cref="SettingsException">There is a file of that name already.</exception>
    public static void Write(Screen screen, RunSettings settings, FileInfo target, IEnumerable<string>? heading = null)
    {
        if (target.Exists) throw new SettingsException([new(target.ToString(), "is there already.", "Name another file, or delete this one first.")]);
        AtomicFile.WriteText(target.FullName, Text(settings, target.Directory!.FullName, heading));
        screen.Note($"[green]wrote[/] {Markup.Escape(target.ToString())}");
    }

    /// <summary>The text of a run file in <paramref name="folder"/>.</summary>
    public static string Text(RunSettings settings, string folder, IEnumerable<string>? heading = null) =>
        string.Concat((heading ?? []).Select(line => $"# {line}\n")) + settings.ToToml(folder);
}
