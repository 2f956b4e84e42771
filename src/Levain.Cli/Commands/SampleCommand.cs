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
        var from = new Option<string?>("--from") { Description = "A picture whose infotext says what is drawn; what is given beside it counts instead.", HelpName = "FILE" };
        var preview = new Option<string?>("--preview") { Description = "A PNG that shows the picture as it is after every step.", HelpName = "FILE" };
        var drawing = new PictureOptions();
        var output = new Option<string>("--output", "-o") { Description = $"The PNG, JPEG or WebP; with several prompts the grid, the pictures beside it as NAME-01.png and on. It may hold [{string.Join("], [", FileNamePattern.Names)}].", DefaultValueFactory = _ => "sample.png", HelpName = "FILE" };
        return drawing.AddTo(pictures.AddTo(new Command("sample", "Draw pictures with a checkpoint and LoRAs; several prompts, seeds or strengths give a grid.") { lora, strengths, prompt, lines, from, preview, output }))
            .Runs((given, screen, stop) =>
            {
                var problems = new Problems();
                var networks = (given.GetValue(lora) ?? []).Select(NetworkArgument.Parse).ToList();
                var columns = PictureArguments.List<double>(given.GetValue(strengths), "--strengths", problems);
                problems.Require(given.GetValue(strengths) is not { } listed || columns.Count > 0 || problems.Any, "--strengths", "is empty.", "Write numbers with commas between them: 0.5,0.8,1.");
                problems.Require(columns.Count == 0 || networks.Count > 0, "--strengths", "is given without --lora.", "Name the LoRA whose strengths are compared.");
                var prompts = (given.GetValue(prompt) ?? []).Select(PromptLine.Of).Concat(PromptNameArguments.Lines(given.GetValue(lines), problems, screen)).ToList();
                var read = Told(given.GetValue(from), problems, screen);
                var told = read?.Request;
                if (prompts.Count == 0 && told is not null) prompts = [PromptLine.Of(told.Prompt)];
                problems.Require(prompts.Count > 0, "--prompt", "is not given.", "Say what to draw: --prompt \"1girl, solo\".");
                problems.Require(PictureFile.Endings.Contains(Path.GetExtension(given.GetValue(output)!).ToLowerInvariant()), "--output", $"is {given.GetValue(output)}.", $"Pictures are written as PNG, JPEG or WebP: end it with {string.Join(", ", PictureFile.Endings)}.");
                OutputPlace.CheckFile(given.GetValue(output)!, output.Name, problems);
                if (given.GetValue(preview) is { } shown) OutputPlace.CheckFile(shown, preview.Name, problems);
                var compared = columns.Count > 0 && networks.Count > 0 ? networks[^1] : null;
                var shared = drawing.Apply(given, pictures.Request(given, screen, problems, told, drawing.AsksSecondPass(given)), problems, read is null ? null : new(given.GetValue(from)!, read, note => screen.Note($"[yellow]{Markup.Escape(note)}[/]"))) with { Networks = compared is null ? networks : networks[..^1] };
                var grid = new GenerationGrid(shared,
                    compared is null ? [new("", same => same)] : GenerationGrid.Strengths(compared.Path, columns),
                    GenerationGrid.PromptsAndSeeds(prompts, pictures.Seeds(given, problems, told)));
                problems.Require(grid.Count <= 1 || given.GetValue(preview) is null, preview.Name, "is given beside several prompts, seeds or strengths.", "It shows one picture while it is drawn: leave it out.");
                problems.Require(grid.Count <= 1 || shared.Batch.Pictures == 1, "--batch", "is given beside several prompts, seeds or strengths.", "Use one or the other; --seed 1,2,3 draws several seeds.");
                (compared is null ? shared : shared with { Networks = networks }).Check(problems);
                problems.ThrowIfAny();

                using var model = pictures.OpenBase(given);
                using var pipeline = pictures.Pipeline(given, model, screen);
                var drawn = new List<object>();
                var files = Draw(pipeline, grid, given.GetValue(output)!, given.GetValue(preview), screen, (file, result) =>
                {
                    if (drawn.Count == 0 && read is not null) foreach (var note in read.OtherFiles(InfotextReader.Read(result.Infotext))) screen.Note($"[yellow]{Markup.Escape($"{given.GetValue(from)}: {note}")}[/]");
                    drawn.Add(new { file, result.Networks, result.Notes });
                }, stop);
                foreach (var file in files) screen.Result(Markup.Escape(file));
                screen.JsonResult(new { ok = true, files, pictures = drawn });
                return ExitCode.Done;
            });
    }

    /// <summary>What a picture says of itself.</summary>
    private static ReadInfotext? Told(string? path, Problems problems, Screen screen)
    {
        if (path is null) return null;
        if (!File.Exists(path))
        {
            problems.Add("--from", $"names {path}, which is no file.", "Check the path.");
            return null;
        }
        if (PictureFile.ReadText(path) is not { } text)
        {
            problems.Add("--from", $"names {path}, which carries no text on how it was drawn.", "Use a picture as the webui or this program wrote it; programs that change pictures often drop the text.");
            return null;
        }
        var read = InfotextReader.Read(text);
        foreach (var note in read.Notes) screen.Note($"[yellow]{Markup.Escape(note)}[/]");
        return read;
    }

    private static IReadOnlyList<string> Draw(GenerationPipeline pipeline, GenerationGrid grid, string output, string? preview, Screen screen, Action<string, GenerationResult> saved, CancellationToken stop)
    {
        if (grid.Count == 1)
        {
            var request = grid.At(0, 0);
            var written = new List<string>();
            pipeline.DrawAll(request, new StepNotes(screen, preview), result =>
            {
                Tell(result, screen);
                var file = NameOf(output, result, written.Count, request.Batch);
                result.Save(file);
                saved(file, result);
                written.Add(file);
            }, stop);
            return written;
        }
        var files = new List<string>();
        var digits = grid.Count.ToString(CultureInfo.InvariantCulture).Length;
        var picture = grid.Draw(pipeline, (column, row, result) =>
        {
            Tell(result, screen);
            var number = (row * grid.Columns.Count + column + 1).ToString(CultureInfo.InvariantCulture).PadLeft(Math.Max(digits, 2), '0');
            var file = Path.Combine(Path.GetDirectoryName(output) ?? "", $"{Path.GetFileNameWithoutExtension(output)}-{number}{Path.GetExtension(output)}");
            result.Save(file);
            saved(file, result);
            files.Add(file);
            screen.Note($"{files.Count} of {grid.Count}: {Markup.Escape(file)}");
        }, stop);
        PictureFile.Write(output, picture);
        return [output, .. files.Order(StringComparer.Ordinal)];
    }

    internal static void Tell(GenerationResult result, Screen screen)
    {
        foreach (var note in result.Notes) screen.Note($"[yellow]{Markup.Escape(note)}[/]");
        foreach (var effect in result.Networks.Where(effect => effect.Acts)) screen.Note(Markup.Escape(effect.ToString()));
    }

    private static string NameOf(string output, GenerationResult result, int index, BatchOptions batch)
    {
        if (FileNamePattern.IsPattern(output)) return FileNamePattern.Of(output, result, new(FileNamePattern.NextNumber(Path.GetDirectoryName(Path.GetFullPath(output))!), index) { Batch = batch, Drawn = DateTime.Now });
        if (batch.Pictures == 1) return output;
        var digits = Math.Max(batch.Pictures.ToString(CultureInfo.InvariantCulture).Length, 2);
        return Path.Combine(Path.GetDirectoryName(output) ?? "", $"{Path.GetFileNameWithoutExtension(output)}-{(index + 1).ToString(CultureInfo.InvariantCulture).PadLeft(digits, '0')}{Path.GetExtension(output)}");
    }

    /// <summary>Says on a terminal how far the picture is, and shows it in a file where one is named.</summary>
    internal sealed class StepNotes(Screen screen, string? preview = null) : IProgress<GenerationProgress>
    {
        private const int Every = 5;

        public void Report(GenerationProgress value)
        {
            if (value.Step % Every == 0 || value.Step == value.Steps) screen.Note($"step {value.Step} of {value.Steps}");
            if (preview is not null && value.Preview is { } draw) PngFile.Write(preview, draw());
        }
    }
}
