using System.CommandLine;
using Levain.Core;
using Levain.Training;
using Levain.Training.Settings;
using Spectre.Console;

namespace Levain.Cli.Commands;

/// <summary><c>levain train RUN.toml</c>: bakes a LoRA; <c>--from-folder</c> writes a run file first.</summary>
internal static class TrainCommand
{
    public static Command Create()
    {
        var (file, machine) = (new RunFileArguments(), new MachineArguments());
        var resume = new Option<bool>("--resume") { Description = "Go on from the newest snapshot: the file that comes out is the uninterrupted run's, to the bit." };
        var pictures = new Option<string?>("--from-folder") { Description = "Write a sensible run file for a folder of pictures (to RUN.toml, default run.toml), then train.", HelpName = "PICTURES" };
        var origin = new Option<string?>("--base") { Description = "With --from-folder: the checkpoint to train upon.", HelpName = "MODEL" };
        var command = machine.AddTo(file.AddTo(new Command("train", "Bake a LoRA as a run file says.")));
        command.Options.Add(resume);
        command.Options.Add(pictures);
        command.Options.Add(origin);
        return command.Runs((given, screen, stop) =>
        {
            var written = given.GetValue(pictures) is { } folder ? Begin(screen, folder, given.GetValue(origin), given.GetValue(file.File), stop) : null;
            var goesOn = given.GetValue(resume);
            EarlierRun? earlier = null;
            var (settings, problems) = file.Read(given, written, read => goesOn ? (earlier = EarlierRun.Find(read.Output))?.Seed : null);
            var result = new Baking(screen) { Resume = goesOn, SkipBroken = given.GetValue(file.SkipBroken) }
                .Run(settings, problems, machine.Choose(given, settings, earlier), stop);
            var run = written ?? given.GetValue(file.File)!;
            if (result.Finished) screen.Result(Markup.Escape(result.Path!));
            else if (result.Path is null) screen.Note($"[yellow]Stopped after step {result.Step}, without a snapshot.[/]");
            else screen.Note($"Stopped after step {result.Step}. Go on with: levain train {Markup.Escape(run.ToString())} --resume");
            screen.JsonResult(new { ok = result.Finished, finished = result.Finished, result.Step, result.Path });
            return result.Finished ? ExitCode.Done : ExitCode.Cancelled;
        });
    }

    private static FileInfo Begin(Screen screen, string pictures, string? origin, FileInfo? named, CancellationToken stop)
    {
        var target = named ?? new("run.toml");
        var problems = new Problems();
        problems.Require(Directory.Exists(pictures), "--from-folder", $"names {pictures}, which is not a folder.", "Name the folder that holds your pictures.");
        problems.Require(origin is not null, "--base", "is not given.", "Name the checkpoint to train upon: --base model.safetensors.");
        problems.Require(origin is null || File.Exists(origin) || Directory.Exists(origin), "--base", $"names {origin}, which is not there.", "Check the path.");
        problems.Require(!target.Exists, target.ToString(), "is there already.", $"Train it with levain train {target}, or name another file to be written: levain train other.toml --from-folder ….");
        problems.ThrowIfAny();

        var folder = target.Directory!.FullName;
        var start = StartingPoint.For(pictures, origin!, folder, Random.Shared.NextInt64(uint.MaxValue + 1L), stop);
        AtomicFile.WriteText(target.FullName, string.Concat(start.Reasons.Select(reason => $"# {reason}\n")) + "\n" + start.Settings.ToToml(folder));
        screen.Note($"[green]wrote[/] {Markup.Escape(target.ToString())}");
        foreach (var reason in start.Reasons) screen.Note($"  {Markup.Escape(reason)}");
        return target;
    }
}
