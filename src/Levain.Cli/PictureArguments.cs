using System.CommandLine;
using System.Globalization;
using Levain.Core;
using Levain.Diffusion;
using Levain.Generation;
using Levain.Models;
using Spectre.Console;

namespace Levain.Cli;

/// <summary>The words of commands that draw: the base, where names of prompts are looked up, and how a picture is drawn.</summary>
internal sealed class PictureArguments
{
    private static readonly GenerationRequest Usual = new();

    private readonly PromptNameArguments names = new();
    private readonly Option<string> origin = new("--base") { Description = "The checkpoint: a file or a diffusers folder.", HelpName = "FILE", Required = true };
    private readonly Option<string?> vae = new("--vae") { Description = "A VAE in place of the checkpoint's own.", HelpName = "FILE" };
    private readonly Option<string> negative = new("--negative", "-n") { Description = "What to keep away from.", DefaultValueFactory = _ => "", HelpName = "TEXT" };
    private readonly Option<string[]> style = new("--style") { Description = "A style of the --styles file that is joined to every prompt.", HelpName = "NAME" };
    private readonly Option<string> seeds = new("--seed") { Description = "Seed, or several: 1,2,3.", DefaultValueFactory = _ => "1", HelpName = "LIST" };
    private readonly Option<string> sampler = new("--sampler")
    {
        Description = $"One of {string.Join(", ", Samplers.All.Select(known => known.Name))}; a schedule may follow: 'DPM++ 2M Karras'.",
        DefaultValueFactory = _ => Usual.Sampler,
        HelpName = "NAME",
    };
    private readonly Option<int> steps = new("--steps") { Description = "Steps.", DefaultValueFactory = _ => Usual.Steps };
    private readonly Option<double> cfg = new("--cfg") { Description = "How strongly the prompt is followed.", DefaultValueFactory = _ => Usual.CfgScale };
    private readonly Option<string> size = new("--size") { Description = "Size in px.", DefaultValueFactory = _ => Usual.Size.ToString(), HelpName = "WxH" };
    private readonly Option<int> clipSkip = new("--clip-skip") { Description = "Block of the text encoder, from the last.", DefaultValueFactory = _ => Usual.ClipSkip };
    private readonly Option<NoiseKind> noise = new("--noise") { Description = "Where a seed's noise comes from: cpu, or gpu for the webui's default.", DefaultValueFactory = _ => Usual.Noise };
    private readonly Option<string?> settings = new("--settings") { Description = $"Further settings in the words of infotexts, \"Emphasis: No norm, Schedule rho: 5\": {string.Join(", ", InfotextReader.SettingNames)}.", HelpName = "TEXT" };
    private readonly Option<string> device = new("--device") { Description = "auto, cpu, cuda or cuda:N.", DefaultValueFactory = _ => "auto", HelpName = "DEVICE" };

    /// <summary>Adds them to a command.</summary>
    public Command AddTo(Command command)
    {
        foreach (var option in (Option[])[origin, vae, negative, style, seeds, sampler, steps, cfg, size, clipSkip, noise, settings, device]) command.Options.Add(option);
        return names.AddTo(command);
    }

    /// <summary>What all pictures share, with an empty prompt and the first seed.</summary>
    /// <param name="secondPass">Whether options ask for a second pass, which settings may change.</param>
    /// <param name="told">What a picture says of itself; an option counts where it was written.</param>
    public GenerationRequest Request(ParseResult given, Screen screen, Problems problems, GenerationRequest? told = null, bool secondPass = false)
    {
        names.Check(given, problems);
        problems.Require(Path.Exists(given.GetValue(origin)), "--base", $"names {given.GetValue(origin)}, which is not there.", "Check the path.");
        problems.Require(given.GetValue(vae) is not { } own || Path.Exists(own), "--vae", $"names {given.GetValue(vae)}, which is not there.", "Check the path.");
        var start = told ?? Usual;
        if (secondPass) start = start with { Hires = start.Hires ?? new() };
        if (given.GetValue(settings) is { } text) start = InfotextReader.Settings(text, start, problems);
        return start with
        {
            Prompt = "",
            NegativePrompt = given.Written(negative, start.NegativePrompt),
            Styles = given.GetValue(style) ?? [],
            Seed = Seeds(given, problems, told).FirstOrDefault(),
            Sampler = given.Written(sampler, start.Sampler),
            Steps = given.Written(steps, start.Steps),
            CfgScale = given.Written(cfg, start.CfgScale),
            Size = Cells(PictureOptions.Size(given.Written(size, start.Size.ToString()), "--size", problems) ?? start.Size, screen),
            ClipSkip = given.Written(clipSkip, start.ClipSkip),
            Noise = given.Written(noise, start.Noise),
        };
    }

    /// <summary>The size that is drawn where sides are no multiples of 8 px: the next below, as the webui cuts them.</summary>
    private static PixelSize Cells(PixelSize size, Screen screen)
    {
        var cells = size.ToLatent().ToPixels();
        if (cells != size) screen.Note($"[yellow]--size: is {size}, and sides are multiples of {LatentSize.CellPixels} px: {cells} is used.[/]");
        return cells;
    }

    /// <summary>The seeds, in order.</summary>
    public IReadOnlyList<long> Seeds(ParseResult given, Problems problems, GenerationRequest? told = null)
    {
        var before = problems.All.Count;
        var list = told is not null && !given.IsWritten(seeds) ? [told.Seed] : List<long>(given.GetValue(seeds), "--seed", problems);
        problems.Require(list.Count > 0 || problems.All.Count > before, "--seed", "is empty.", "Write seeds with commas between them: 1,2.");
        return list;
    }

    /// <summary>Opens the base; the caller disposes it.</summary>
    public StableDiffusion OpenBase(ParseResult given) => StableDiffusion.Open(given.GetValue(origin)!, Engine.Start(new() { Device = given.GetValue(device)! }), given.GetValue(vae));

    /// <summary>Who draws on a base; the caller disposes it.</summary>
    public GenerationPipeline Pipeline(ParseResult given, StableDiffusion model, Screen screen) => new(model, Path.GetFileNameWithoutExtension(given.GetValue(origin)), names.Folders(given)) { Files = new(given.GetValue(origin)!, given.GetValue(vae), HashStore.Hashes), Waiting = new WaitNotes(screen) };

    /// <summary>The bases of a grid; the caller disposes them.</summary>
    public BaseShelf Bases(ParseResult given, Screen screen) => new(Engine.Start(new() { Device = given.GetValue(device)! }), given.GetValue(origin)!, given.GetValue(vae), names.Folders(given), HashStore.Hashes, new WaitNotes(screen));

    /// <summary>Numbers with commas between them.</summary>
    public static List<T> List<T>(string? text, string name, Problems problems) where T : struct, ISpanParsable<T>
    {
        var numbers = new List<T>();
        foreach (var part in (text ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            if (T.TryParse(part, CultureInfo.InvariantCulture, out var number)) numbers.Add(number);
            else problems.Add(name, $"holds '{part}'.", "Write numbers with commas between them: 1,2,3.");
        }
        return numbers;
    }

    /// <summary>Requires that pictures are written as PNG, to where something can be written.</summary>
    public static void CheckPng(string output, Problems problems)
    {
        problems.Require(output.EndsWith(".png", StringComparison.OrdinalIgnoreCase), "--output", $"is {output}.", "Pictures are written as PNG: end it with .png.");
        OutputPlace.CheckFile(output, "--output", problems);
    }

    private sealed class WaitNotes(Screen screen) : IProgress<string>
    {
        public void Report(string value) => screen.Note(Markup.Escape(value));
    }
}
