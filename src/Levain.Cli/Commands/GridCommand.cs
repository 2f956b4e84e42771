using System.CommandLine;
using System.Globalization;
using Levain.Core;
using Levain.Generation;
using Spectre.Console;

namespace Levain.Cli.Commands;

/// <summary><c>levain grid</c>: pictures over up to three axes, as the webui's X/Y/Z plot.</summary>
internal static class GridCommand
{
    public static Command Create()
    {
        var (pictures, drawing) = (new PictureArguments(), new PictureOptions());
        var prompt = new Option<string>("--prompt", "-p") { Description = "What to draw.", HelpName = "TEXT", Required = true };
        var lora = new Option<string[]>("--lora") { Description = "A LoRA that acts on all pictures, beside tags in the prompt.", HelpName = "FILE[:STRENGTH]" };
        var (x, y, z) = (Axis("--x", "Columns"), Axis("--y", "Rows"), Axis("--z", "Grids side by side"));
        var vary = new Option<string>("--vary-seeds") { Description = "Axes along which seeds count on: xy.", DefaultValueFactory = _ => "", HelpName = "AXES" };
        var bare = new Option<bool>("--no-legend") { Description = "Pictures alone." };
        var output = new Option<string>("--output", "-o") { Description = "The grid; its pictures go to NAME-cells, what is known about them to NAME.json.", DefaultValueFactory = _ => "grid.png", HelpName = "FILE" };
        return drawing.AddTo(pictures.AddTo(new Command("grid", "Draw a grid of pictures over up to three axes. Stopped, it goes on where it was.") { prompt, lora, x, y, z, vary, bare, output }))
            .Runs((given, screen, stop) =>
            {
                var problems = new Problems();
                var along = given.GetValue(vary)!.ToLowerInvariant();
                problems.Require(along.All("xyz".Contains), "--vary-seeds", $"is {along}.", "Use x, y and z: xy.");
                PictureArguments.CheckPng(given.GetValue(output)!, problems);
                var request = drawing.Apply(given, pictures.Request(given, screen, problems, secondPass: drawing.AsksSecondPass(given)), problems) with { Prompt = given.GetValue(prompt)!, Networks = [.. (given.GetValue(lora) ?? []).Select(NetworkArgument.Parse)] };
                problems.Require(request.Batch.Pictures == 1, "--batch", "is given for a grid.", "Each place of a grid holds one picture; 'Seed=1-4' is an axis.");
                var lines = new[] { x, y, z }.Select(option => LineUp(given.GetValue(option), option.Name, problems, screen)).ToList();
                problems.ThrowIfAny();
                var grid = new XyzGrid(request, lines[0], lines[1], lines[2])
                {
                    VarySeedsX = along.Contains('x'),
                    VarySeedsY = along.Contains('y'),
                    VarySeedsZ = along.Contains('z'),
                    Legends = !given.GetValue(bare),
                };
                using var bases = pictures.Bases(given, screen);
                grid.Plan(bases.Folders);
                screen.Note($"{Counted.Of(grid.Count, "picture")}: {lines[0].Values.Count} × {lines[1].Values.Count} × {lines[2].Values.Count}");

                var file = given.GetValue(output)!;
                var name = Path.Combine(Path.GetDirectoryName(file) ?? "", Path.GetFileNameWithoutExtension(file));
                var result = grid.Draw(bases, new($"{name}-cells", $"{name}.json"), (done, count, cell) =>
                {
                    foreach (var note in cell.Notes) screen.Note($"[yellow]{Markup.Escape(note)}[/]");
                    screen.Note($"{done} of {count}: {Markup.Escape(cell.File)}");
                }, stop);
                foreach (var note in result.Notes) screen.Note($"[yellow]{Markup.Escape(note)}[/]");
                PngFile.Write(file, result.Picture, result.Infotext);
                var files = new List<string> { file };
                if (result.Parts.Count > 1)
                    foreach (var (i, part) in result.Parts.Index())
                    {
                        files.Add($"{name}-z{(i + 1).ToString(CultureInfo.InvariantCulture)}.png");
                        PngFile.Write(files[^1], part);
                    }
                foreach (var written in files) screen.Result(Markup.Escape(written));
                screen.JsonResult(new { ok = true, files, index = $"{name}.json", pictures = grid.Count, result.Drawn });
                return ExitCode.Done;
            });

        static Option<string?> Axis(string name, string what) => new(name)
        {
            Description = $"{what}: AXIS=VALUES, as 'Seed=1-4', 'CFG Scale=4-8 (+2)', 'Prompt S/R=LORA,<lora:x-000001:1>,<lora:x:1>'. Axes: {string.Join(", ", GridAxes.All.Select(axis => axis.Name))}.",
            HelpName = "AXIS=VALUES",
        };
    }

    // Seeds below 0 are drawn here, at the edge, once for the whole grid.
    private static GridLineUp LineUp(string? text, string option, Problems problems, Screen screen)
    {
        if (text is null) return GridLineUp.None;
        try
        {
            var line = GridLineUp.Parse(text);
            if ((line.Axis != GridAxes.Seed && line.Axis != GridAxes.VariationSeed) || !line.Values.Any(seed => seed is < 0L)) return line;
            line = line with { Values = [.. line.Values.Select(seed => seed is < 0L ? Random.Shared.NextInt64(uint.MaxValue + 1L) : seed)] };
            screen.Note($"Seeds: {string.Join(", ", line.Values)}");
            return line;
        }
        catch (SettingsException refusal)
        {
            foreach (var problem in refusal.Problems) problems.Add(option, problem.What, problem.Fix);
            return GridLineUp.None;
        }
    }
}
