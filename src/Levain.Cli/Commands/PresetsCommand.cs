using System.CommandLine;
using Levain.Core;
using Levain.Guide;
using Spectre.Console;

namespace Levain.Cli.Commands;

/// <summary><c>levain presets</c>: the guide's ways to set up a run; with a name, what one of them sets.</summary>
internal static class PresetsCommand
{
    public static Command Create()
    {
        var name = new Argument<string?>("NAME") { Description = "A preset: prints what it sets, as a run file.", Arity = ArgumentArity.ZeroOrOne };
        return new Command("presets", "List the guide's presets, or print one; use it with: levain train RUN.toml --preset NAME.") { name }.Runs((given, screen, stop) =>
        {
            if (given.GetValue(name) is { } wanted)
            {
                var preset = Find(wanted);
                screen.Result(Markup.Escape(Text(preset)));
                screen.JsonResult(new { preset.Name, preset.Summary, preset.Advice, toml = Text(preset) });
                return ExitCode.Done;
            }
            var table = new Table().Border(TableBorder.None).AddColumns("preset", "for");
            foreach (var preset in Presets.All) table.AddRow(Markup.Escape(preset.Name), Markup.Escape(preset.Summary));
            screen.Result(table);
            screen.JsonResult(Presets.All.Select(preset => new { preset.Name, preset.Summary, preset.Advice }));
            return ExitCode.Done;
        });
    }

    /// <summary>The preset of that name.</summary>
    /// <exception cref="SettingsException">There is none.</exception>
    public static Preset Find(string name)
    {
        if (Presets.Named(name) is { } preset) return preset;
        var problems = new Problems();
        problems.Add("preset", $"knows no '{name}'.", Nearest.Advice(name, [.. Presets.All.Select(known => known.Name)]));
        problems.ThrowIfAny();
        throw new InvalidOperationException();
    }

    private static string Text(Preset preset)
    {
        var folder = Environment.CurrentDirectory;
        var settings = preset.Settings with { Output = preset.Settings.Output with { Folder = Path.GetFullPath("output", folder) } };
        return string.Concat(preset.Advice.Select(advice => $"# {advice}\n")) + "\n" + settings.ToToml(folder);
    }
}
