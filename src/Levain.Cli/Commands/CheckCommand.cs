using System.CommandLine;
using Levain.Core;
using Levain.Data;
using Levain.Models;
using Levain.Training.Planning;
using Spectre.Console;

namespace Levain.Cli.Commands;

/// <summary><c>levain check RUN.toml</c>: the complete plan of a run, and everything wrong with it at once, without opening a model.</summary>
internal static class CheckCommand
{
    public static Command Create()
    {
        var file = new RunFileArguments();
        var pixels = new Option<bool>("--pixels") { Description = "Decode every picture once: finds all that are cut short, and duplicates." };
        var command = file.AddTo(new Command("check", "Show a run's plan and everything wrong with it, without starting it."));
        command.Options.Add(pixels);
        return command.Runs((given, screen, stop) =>
        {
            var (settings, problems) = file.Read(given);
            var plan = RunPlan.Make(settings, problems, new PythonRandom(settings.Training.Seed!.Value), given.GetValue(file.SkipBroken),
                given.GetValue(pixels) ? ImageChecking.Pixels : ImageChecking.Headers, cancel: stop);
            if (plan is null)
            {
                screen.Fail([.. problems.All.Select(problem => problem.ToString())]);
                return ExitCode.Settings;
            }
            var rate = Rate(screen);
            screen.Result(PlanView.Table(plan, rate));
            foreach (var duplicates in plan.Dataset.Report.Duplicates) screen.Result($"[yellow]The same picture:[/] {Markup.Escape(string.Join(", ", duplicates))}");
            foreach (var note in plan.Dataset.Report.Notes) screen.Result($"[grey]{Markup.Escape(note.ToString())}[/]");
            foreach (var warning in plan.Warnings) screen.Result($"[yellow]{Markup.Escape(warning)}[/]");
            screen.Result("[green]Nothing is wrong.[/]");
            screen.JsonResult(new { ok = true, plan = PlanView.Json(plan, rate) });
            return ExitCode.Done;
        });
    }

    // The time to expect needs the machine's rate: a second of measuring. Without an engine the plan is shown all the same.
    private static double? Rate(Screen screen)
    {
        try
        {
            Engine.Start(new());
            return Floor.Measure(TorchSharp.torch.CPU).Best;
        }
        catch (EngineException failure)
        {
            screen.Note($"[yellow]No time can be told: {Markup.Escape(failure.Message)}[/]");
            return null;
        }
    }
}
