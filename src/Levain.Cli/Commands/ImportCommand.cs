using System.CommandLine;
using Levain.Core;
using Levain.Training.Kohya;
using Spectre.Console;

namespace Levain.Cli.Commands;

/// <summary><c>levain import PRESET.json</c>: a run file from a preset of the kohya_ss form.</summary>
internal static class ImportCommand
{
    public static Command Create()
    {
        var preset = new Argument<FileInfo>("PRESET.json") { Description = "A preset that the kohya_ss form saved." };
        var output = new Option<FileInfo?>("--output", "-o") { Description = "The run file to write; default: print it.", HelpName = "RUN.toml" };
        return new Command("import", "Turn a preset of the kohya_ss form into a run file, and say what was dropped or changed.") { preset, output }.Runs((given, screen, _) =>
        {
            var file = given.GetRequiredValue(preset);
            if (!file.Exists) throw new SettingsException([new(file.ToString(), "is not there.", "Name a JSON file that the kohya_ss form saved.")]);
            var read = GuiPreset.Read(File.ReadAllText(file.FullName), file.Name);
            var (settings, problems) = KohyaArguments.Read(read.Arguments, read.Trainer.FileName(), read.ReadFile);
            settings.Check(problems);
            foreach (var note in read.Notes) screen.Note($"[yellow]{Markup.Escape(note)}[/]");
            problems.ThrowIfAny();
            var target = given.GetValue(output);
            if (target is not null) RunFileWriting.Write(screen, settings, target, read.Notes);
            else if (!screen.Json) Console.Out.Write(RunFileWriting.Text(settings, Environment.CurrentDirectory, read.Notes));
            screen.JsonResult(new { ok = true, path = target?.FullName, notes = read.Notes, run = settings.ToToml(target?.Directory?.FullName ?? Environment.CurrentDirectory) });
            return ExitCode.Done;
        });
    }
}
