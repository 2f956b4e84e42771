using System.CommandLine;
using Spectre.Console;

namespace Levain.Cli.Commands;

/// <summary><c>levain doctor</c>: what this machine offers, and what to do about each problem.</summary>
internal static class DoctorCommand
{
    public static Command Create()
    {
        var folder = new Option<DirectoryInfo>("--folder")
        {
            Description = "Folder whose free disk space is looked at.",
            DefaultValueFactory = _ => new("."),
        };
        return new Command("doctor", "Look at engine, libraries, processor, memory, GPU and disk; say what to do about each problem.") { folder }
            .Runs((given, screen, stop) =>
            {
                var findings = Doctor.Findings.All(given.GetValue(folder)!, screen.Note, stop).ToList();
                screen.Result(Table(findings));
                var problems = findings.Where(finding => finding.Advice is not null).ToList();
                if (problems.Count == 0) screen.Result("[green]Nothing to mend.[/]");
                foreach (var problem in problems) screen.Result($"[yellow]{Markup.Escape(problem.What)}:[/] {Markup.Escape(problem.Advice!)}");
                screen.JsonResult(new { ok = findings.All(finding => !finding.Blocks), findings });
                return findings.Any(finding => finding.Blocks) ? ExitCode.Failed : ExitCode.Done;
            });
    }

    private static Table Table(IEnumerable<Doctor.Finding> findings)
    {
        var table = new Table().Border(TableBorder.None).HideHeaders().AddColumns("", "", "");
        foreach (var finding in findings)
            table.AddRow(finding switch { { Blocks: true } => "[red]✗[/]", { Advice: not null } => "[yellow]![/]", _ => "[green]✓[/]" },
                Markup.Escape(finding.What), Markup.Escape(finding.Found));
        return table;
    }
}
