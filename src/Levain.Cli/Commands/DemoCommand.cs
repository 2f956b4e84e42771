using System.CommandLine;
using Levain.Cli.Watching;
using Levain.Core;
using Levain.Generation;
using Levain.Models;
using Levain.Training;
using Levain.Training.Settings;
using Spectre.Console;

namespace Levain.Cli.Commands;

/// <summary><c>levain demo</c>: bakes a LoRA of an embedded character upon the embedded tiny base, and draws what it learnt.</summary>
internal static class DemoCommand
{
    private const string RunFile = "run.toml", BaseFile = "tiny-base.safetensors", GridFile = "grid.png", Pictures = "pictures/10_mochi";

    // With and without her name: the first two must stay as they were.
    private static readonly string[] Prompts =
    [
        "1girl, solo, pink hair, twintails, blue eyes, smile, white shirt, portrait, simple background, blue background",
        "1boy, solo, black hair, spiky hair, red eyes, frown, green hoodie, upper body, outdoors, night",
        "mochi, 1girl, solo, smile, white shirt, portrait, simple background, grey background",
        "mochi, 1girl, solo, open mouth, red hoodie, upper body, outdoors, beach",
    ];

    private static readonly long[] Seeds = [1, 2];
    private static readonly double[] Strengths = [0.5, 0.8, 1.0];
    private static readonly GenerationRequest Request = new() { Sampler = "DPM++ 2M Karras", Steps = 20, CfgScale = 5, Size = new(128, 128) };

    public static Command Create()
    {
        var machine = new MachineArguments();
        var folder = new Option<DirectoryInfo>("--folder") { Description = "Where everything is written.", DefaultValueFactory = _ => new("levain-demo"), HelpName = "DIR" };
        var command = machine.AddTo(new Command("demo", "Bake and test a first LoRA from embedded pictures, in about a minute."));
        command.Options.Add(folder);
        return command.Runs((given, screen, stop) =>
        {
            var place = given.GetValue(folder)!;
            var run = Unpack(place, screen);
            var (settings, problems) = RunSettings.Read(run);
            var engine = machine.Choose(given, settings, earlier: null);
            var result = new Baking(screen).Run(settings, problems, engine, stop);
            if (!result.Finished)
            {
                screen.Note($"Stopped after step {result.Step}. Go on with: levain train {Markup.Escape(Path.GetRelativePath(".", run))} --resume");
                screen.JsonResult(new { ok = false, finished = false, result.Step, result.Path });
                return ExitCode.Cancelled;
            }
            var grid = Draw(screen, settings.Model.Base!, result.Path!, Path.Combine(place.FullName, GridFile), engine, stop);
            Tell(screen, place, run, result.Path!, grid);
            return ExitCode.Done;
        });
    }

    private static string Unpack(DirectoryInfo place, Screen screen)
    {
        var source = Path.Combine(AppContext.BaseDirectory, "assets", "demo");
        var run = Path.Combine(place.FullName, RunFile);
        Copy(Path.Combine(source, BaseFile), Path.Combine(place.FullName, BaseFile));
        foreach (var picture in Directory.EnumerateFiles(Path.Combine(source, "mochi"))) Copy(picture, Path.Combine(place.FullName, Pictures, Path.GetFileName(picture)));
        if (File.Exists(run) && File.ReadAllText(run) != File.ReadAllText(Path.Combine(source, RunFile))) screen.Note($"[yellow]{Markup.Escape(run)} is not the demo's own any more: it is trained as it stands. Delete it to have the demo's back.[/]");
        else Copy(Path.Combine(source, RunFile), run);
        return run;

        static void Copy(string from, string to)
        {
            if (File.Exists(to) && new FileInfo(to).Length == new FileInfo(from).Length) return;
            AtomicFile.Write(to, stream =>
            {
                using var original = File.OpenRead(from);
                original.CopyTo(stream);
            });
        }
    }

    private static string Draw(Screen screen, string origin, string network, string target, EngineOptions engine, CancellationToken stop)
    {
        using var model = StableDiffusion.Open(origin, Engine.Start(engine));
        using var pipeline = new GenerationPipeline(model, Path.GetFileNameWithoutExtension(origin));
        var grid = new GenerationGrid(Request, GenerationGrid.Strengths(network, Strengths), GenerationGrid.PromptsAndSeeds(Prompts, Seeds));
        return RunWatch.Show(screen, watch =>
        {
            var drawn = 0;
            PngFile.Write(target, grid.Draw(pipeline, (_, _, _) => watch.Report(new Preparing("drawing pictures", ++drawn, grid.Count)), stop));
            watch.Report(new PictureDrawn(target, 0));
            return target;
        });
    }

    private static void Tell(Screen screen, DirectoryInfo place, string run, string network, string grid)
    {
        string near(string path) => Markup.Escape(Path.GetRelativePath(".", path));
        var plot = Path.Combine(place.FullName, Baking.PlotName);
        var table = new Table().Border(TableBorder.None).HideHeaders().AddColumns("", "");
        table.AddRow($"[green]{near(network)}[/]", "the LoRA: loads wherever kohya's files load");
        table.AddRow($"[green]{near(grid)}[/]", "what it draws, without it and at three strengths: look at this first");
        table.AddRow($"[green]{near(plot)}[/]", "the loss");
        table.AddRow($"[green]{near(Path.Combine(place.FullName, "log"))}[/]", "the same for TensorBoard, and as JSON lines");
        table.AddRow($"[green]{near(run)}[/]", "the run file: change it and train again");
        screen.Result(table);
        screen.Result($"""

            Try next:
              levain sample --base {near(Path.Combine(place.FullName, BaseFile))} --lora {near(network)}:0.8 --size 128x128 --prompt "mochi, 1girl, solo, smile"
              levain train {near(run)} --set network.rank=4
              levain inspect {near(network)}
              levain train --from-folder YOUR-PICTURES --base YOUR-SD15-CHECKPOINT.safetensors
            """);
        screen.JsonResult(new { ok = true, finished = true, path = network, grid, plot, run });
    }
}
