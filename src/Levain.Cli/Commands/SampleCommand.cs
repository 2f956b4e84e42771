using System.CommandLine;
using System.Globalization;
using Levain.Core;
using Levain.Diffusion;
using Levain.Generation;
using Levain.Models;
using Spectre.Console;

namespace Levain.Cli.Commands;

/// <summary><c>levain sample</c>: pictures from a base and LoRAs; several prompts, seeds or strengths give a grid.</summary>
internal static class SampleCommand
{
    public static Command Create()
    {
        var request = new GenerationRequest();
        var origin = new Option<string>("--base") { Description = "The checkpoint: a file or a diffusers folder.", HelpName = "FILE", Required = true };
        var vae = new Option<string?>("--vae") { Description = "A VAE in place of the checkpoint's own.", HelpName = "FILE" };
        var lora = new Option<string[]>("--lora") { Description = "A LoRA and its strength (for text encoder and U-Net apart: FILE:0.5:1). May be given several times.", HelpName = "FILE[:STRENGTH]" };
        var strengths = new Option<string?>("--strengths") { Description = "Draws a column without and one for each strength of the last --lora: 0.5,0.8,1.0.", HelpName = "LIST" };
        var prompt = new Option<string[]>("--prompt", "-p") { Description = "What to draw, in the webui's prompt language. Several give rows.", HelpName = "TEXT" };
        var negative = new Option<string>("--negative", "-n") { Description = "What to keep away from.", DefaultValueFactory = _ => "", HelpName = "TEXT" };
        var seeds = new Option<string>("--seed") { Description = "Seed, or several: 1,2,3.", DefaultValueFactory = _ => "1", HelpName = "LIST" };
        var sampler = new Option<string>("--sampler")
        {
            Description = $"One of {string.Join(", ", Samplers.All.Select(known => known.Name))}; a schedule may follow: 'DPM++ 2M Karras'.",
            DefaultValueFactory = _ => request.Sampler,
            HelpName = "NAME",
        };
        var steps = new Option<int>("--steps") { Description = "Steps.", DefaultValueFactory = _ => request.Steps };
        var cfg = new Option<double>("--cfg") { Description = "How strongly the prompt is followed.", DefaultValueFactory = _ => request.CfgScale };
        var size = new Option<string>("--size") { Description = "Size in px.", DefaultValueFactory = _ => request.Size.ToString(), HelpName = "WxH" };
        var clipSkip = new Option<int>("--clip-skip") { Description = "Block of the text encoder, from the last.", DefaultValueFactory = _ => request.ClipSkip };
        var noise = new Option<NoiseKind>("--noise") { Description = "Where a seed's noise comes from: cpu, or gpu for the webui's default.", DefaultValueFactory = _ => request.Noise };
        var names = new PromptNameOptions();
        var lines = new Option<string?>("--prompts-file") { Description = "A file of prompts, one a line; a line may hold options: --prompt ... --steps 20.", HelpName = "FILE" };
        var style = new Option<string[]>("--style") { Description = "A style of the --styles file that is joined to every prompt.", HelpName = "NAME" };
        var output = new Option<string>("--output", "-o") { Description = "The PNG; with several pictures the grid, the pictures beside it as NAME-01.png and on.", DefaultValueFactory = _ => "sample.png", HelpName = "FILE" };
        var device = new Option<string>("--device") { Description = "auto, cpu, cuda or cuda:N.", DefaultValueFactory = _ => "auto", HelpName = "DEVICE" };
        return names.AddTo(new Command("sample", "Draw pictures with a checkpoint and LoRAs; several prompts, seeds or strengths give a grid.")
            { origin, vae, lora, strengths, prompt, negative, lines, style, seeds, sampler, steps, cfg, size, clipSkip, noise, output, device })
            .Runs((given, screen, stop) =>
            {
                var problems = new Problems();
                var networks = (given.GetValue(lora) ?? []).Select(NetworkArgument.Parse).ToList();
                var columns = List<double>(given.GetValue(strengths), "--strengths", problems);
                problems.Require(columns.Count == 0 || networks.Count > 0, "--strengths", "is given without --lora.", "Name the LoRA whose strengths are compared.");
                var prompts = (given.GetValue(prompt) ?? []).Select(PromptLine.Of).Concat(PromptNameOptions.Lines(given.GetValue(lines), problems, screen)).ToList();
                problems.Require(prompts.Count > 0, "--prompt", "is not given.", "Say what to draw: --prompt \"1girl, solo\".");
                problems.Require(given.GetValue(output)!.EndsWith(".png", StringComparison.OrdinalIgnoreCase), "--output", $"is {given.GetValue(output)}.", "Pictures are written as PNG: end it with .png.");
                var compared = columns.Count > 0 && networks.Count > 0 ? networks[^1] : null;
                var shared = request with
                {
                    NegativePrompt = given.GetValue(negative)!,
                    Styles = given.GetValue(style) ?? [],
                    Sampler = given.GetValue(sampler)!,
                    Steps = given.GetValue(steps),
                    CfgScale = given.GetValue(cfg),
                    Size = Size(given.GetValue(size)!, problems),
                    ClipSkip = given.GetValue(clipSkip),
                    Noise = given.GetValue(noise),
                    Networks = compared is null ? networks : networks[..^1],
                };
                var grid = new GenerationGrid(shared,
                    compared is null ? [new("", same => same)] : GenerationGrid.Strengths(compared.Path, columns),
                    GenerationGrid.PromptsAndSeeds(prompts, List<long>(given.GetValue(seeds), "--seed", problems)));
                (compared is null ? shared : shared with { Networks = networks }).Check(problems);
                problems.ThrowIfAny();

                var compute = Engine.Start(new() { Device = given.GetValue(device)! });
                using var model = StableDiffusion.Open(given.GetValue(origin)!, compute, given.GetValue(vae));
                using var pipeline = new GenerationPipeline(model, Path.GetFileNameWithoutExtension(given.GetValue(origin)), names.Folders(given));
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

    private static void Tell(GenerationResult result, Screen screen)
    {
        foreach (var note in result.Notes) screen.Note($"[yellow]{Markup.Escape(note)}[/]");
        foreach (var effect in result.Networks.Where(effect => effect.Acts)) screen.Note(Markup.Escape(effect.ToString()));
    }

    private static PixelSize Size(string text, Problems problems)
    {
        var sides = text.ToLowerInvariant().Split('x');
        if (sides.Length == 2 && int.TryParse(sides[0], CultureInfo.InvariantCulture, out var width) && int.TryParse(sides[1], CultureInfo.InvariantCulture, out var height)) return new(width, height);
        problems.Add("--size", $"is {text}.", "Write width and height: 512x768.");
        return new GenerationRequest().Size;
    }

    private static List<T> List<T>(string? text, string name, Problems problems) where T : struct, ISpanParsable<T>
    {
        var numbers = new List<T>();
        foreach (var part in (text ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            if (T.TryParse(part, CultureInfo.InvariantCulture, out var number)) numbers.Add(number);
            else problems.Add(name, $"holds '{part}'.", "Write numbers with commas between them: 1,2,3.");
        }
        return numbers;
    }

    /// <summary>Says on a terminal how far the picture is.</summary>
    private sealed class StepNotes(Screen screen) : IProgress<GenerationProgress>
    {
        private const int Every = 5;

        public void Report(GenerationProgress value)
        {
            if (value.Step % Every == 0 || value.Step == value.Steps) screen.Note($"step {value.Step} of {value.Steps}");
        }
    }
}
