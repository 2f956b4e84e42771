using System.CommandLine;
using System.Globalization;
using Levain.Core;
using Levain.Generation;
using Spectre.Console;

namespace Levain.Cli.Commands;

/// <summary><c>levain sample</c>: pictures from a base and LoRAs; several prompts, seeds or strengths give a grid.</summary>
internal static class SampleCommand
{
    public static Command Create()
    {
        var pictures = new PictureArguments();
        var lora = new Option<string[]>("--lora") { Description = "A LoRA and its strength (for text encoder and U-Net apart: FILE:0.5:1). May be given several times.", HelpName = "FILE[:STRENGTH]" };
        var strengths = new Option<string?>("--strengths") { Description = "Draws a column without and one for each strength of the last --lora: 0.5,0.8,1.0.", HelpName = "LIST" };
        var prompt = new Option<string[]>("--prompt", "-p") { Description = "What to draw, in the webui's prompt language. Several give rows.", HelpName = "TEXT" };
        var lines = new Option<string?>("--prompts-file") { Description = "A file of prompts, one a line; a line may hold options: --prompt ... --steps 20.", HelpName = "FILE" };
        var output = new Option<string>("--output", "-o") { Description = "The PNG; with several pictures the grid, the pictures beside it as NAME-01.png and on.", DefaultValueFactory = _ => "sample.png", HelpName = "FILE" };
        return pictures.AddTo(new Command("sample", "Draw pictures with a checkpoint and LoRAs; several prompts, seeds or strengths give a grid.") { lora, strengths, prompt, lines, output })
            .Runs((given, screen, stop) =>
            {
                var problems = new Problems();
                var networks = (given.GetValue(lora) ?? []).Select(NetworkArgument.Parse).ToList();
                var columns = PictureArguments.List<double>(given.GetValue(strengths), "--strengths", problems);
                problems.Require(columns.Count == 0 || networks.Count > 0, "--strengths", "is given without --lora.", "Name the LoRA whose strengths are compared.");
                var prompts = (given.GetValue(prompt) ?? []).Select(PromptLine.Of).Concat(PromptNameArguments.Lines(given.GetValue(lines), problems, screen)).ToList();
                problems.Require(prompts.Count > 0, "--prompt", "is not given.", "Say what to draw: --prompt \"1girl, solo\".");
                PictureArguments.CheckPng(given.GetValue(output)!, problems);
                var compared = columns.Count > 0 && networks.Count > 0 ? networks[^1] : null;
                var shared = pictures.Request(given, problems) with { Networks = compared is null ? networks : networks[..^1] };
                var grid = new GenerationGrid(shared,
                    compared is null ? [new("", same => same)] : GenerationGrid.Strengths(compared.Path, columns),
                    GenerationGrid.PromptsAndSeeds(prompts, pictures.Seeds(given, problems)));
                (compared is null ? shared : shared with { Networks = networks }).Check(problems);
                problems.ThrowIfAny();

                using var model = pictures.OpenBase(given);
                using var pipeline = pictures.Pipeline(given, model);
                var files = Draw(pipeline, grid, given.GetValue(output)!, screen, stop);
                foreach (var file in files) screen.Result(Markup.Escape(file));
                screen.JsonResult(new { ok = true, files });
                return ExitCode.Done;
            });
    }

    private static IReadOnlyList<string> Draw(GenerationPipeline pipeline, GenerationGrid grid, string output, Screen screen, CancellationToken stop)
    {
        if (grid.Count == 1)
        {
            var only = pipeline.Draw(grid.At(0, 0), new StepNotes(screen), stop);
            Tell(only, screen);
            only.Save(output);
            return [output];
        }
        var files = new List<string>();
        var digits = grid.Count.ToString(CultureInfo.InvariantCulture).Length;
        var picture = grid.Draw(pipeline, (column, row, result) =>
        {
            Tell(result, screen);
            var number = (row * grid.Columns.Count + column + 1).ToString(CultureInfo.InvariantCulture).PadLeft(Math.Max(digits, 2), '0');
            var file = Path.Combine(Path.GetDirectoryName(output) ?? "", $"{Path.GetFileNameWithoutExtension(output)}-{number}.png");
            result.Save(file);
            files.Add(file);
            screen.Note($"{files.Count} of {grid.Count}: {Markup.Escape(file)}");
        }, stop);
        PngFile.Write(output, picture);
        return [output, .. files.Order(StringComparer.Ordinal)];
    }

    internal static void Tell(GenerationResult result, Screen screen)
    {
        foreach (var note in result.Notes) screen.Note($"[yellow]{Markup.Escape(note)}[/]");
        foreach (var effect in result.Networks.Where(effect => effect.Acts)) screen.Note(Markup.Escape(effect.ToString()));
    }

    /// <summary>Says on a terminal how far the picture is.</summary>
    internal sealed class StepNotes(Screen screen) : IProgress<GenerationProgress>
    {
        private const int Every = 5;

        public void Report(GenerationProgress value)
        {
            if (value.Step % Every == 0 || value.Step == value.Steps) screen.Note($"step {value.Step} of {value.Steps}");
        }
    }
}
