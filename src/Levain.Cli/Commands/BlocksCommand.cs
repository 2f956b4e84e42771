using System.CommandLine;
using System.Globalization;
using Levain.Core;
using Levain.Generation;
using Spectre.Console;

namespace Levain.Cli.Commands;

/// <summary><c>levain blocks</c>: which blocks of a LoRA move a picture, and how far.</summary>
internal static class BlocksCommand
{
    public static Command Create()
    {
        var pictures = new PictureArguments();
        var usual = new BlockAnalysis(new(), new("", 1));
        var lora = new Argument<string>("LORA") { Description = "The network, with its strength behind a colon: mochi.safetensors:0.8." };
        var prompt = new Option<string>("--prompt", "-p") { Description = "What to draw.", HelpName = "TEXT", Required = true };
        var blocks = new Option<string>("--blocks") { Description = "Blocks looked at: 'BASE IN04-M00', 17ALL, 26ALL; default those in which the network has layers.", DefaultValueFactory = _ => "", HelpName = "LIST" };
        var values = new Option<string>("--values") { Description = "The factor of the block looked at, and that of all others.", DefaultValueFactory = _ => FormattableString.Invariant($"{usual.One},{usual.All}"), HelpName = "ONE,ALL" };
        var threshold = new Option<int>("--threshold") { Description = "Difference from which a channel value counts as changed, 0 to 255.", DefaultValueFactory = _ => usual.Threshold };
        var white = new Option<bool>("--white") { Description = "Difference pictures are white where nothing changed." };
        var output = new Option<string>("--output", "-o") { Description = "The picture.", DefaultValueFactory = _ => "blocks.png", HelpName = "FILE" };
        return pictures.AddTo(new Command("blocks", "Tell which blocks of a LoRA move a picture, and how far: a table and a picture.") { lora, prompt, blocks, values, threshold, white, output })
            .Runs((given, screen, stop) =>
            {
                var problems = new Problems();
                var factors = PictureArguments.List<double>(given.GetValue(values), "--values", problems);
                problems.Require(factors.Count == 2 && factors.All(double.IsFinite), "--values", $"is {given.GetValue(values)}.", "Write two numbers: 0.5,1.");
                problems.Require(given.GetValue(threshold) is >= 0 and < byte.MaxValue, "--threshold", $"is {given.GetValue(threshold)}.", "Use 0 to 254; 20 is usual.");
                PictureArguments.CheckPng(given.GetValue(output)!, problems);
                var network = NetworkArgument.Parse(given.GetValue(lora)!);
                var request = pictures.Request(given, screen, problems) with { Prompt = given.GetValue(prompt)! };
                (request with { Networks = [network] }).Check(problems);
                var looked = BlockAnalysis.Named(given.GetValue(blocks)!, problems);
                problems.ThrowIfAny();
                var analysis = new BlockAnalysis(request, network)
                {
                    Seeds = pictures.Seeds(given, problems),
                    One = factors[0],
                    All = factors[1],
                    Threshold = given.GetValue(threshold),
                    White = given.GetValue(white),
                    Blocks = looked,
                };

                using var model = pictures.OpenBase(given);
                using var pipeline = pictures.Pipeline(given, model, screen);
                var (changes, picture) = analysis.Draw(pipeline, (done, count) => screen.Note($"{done} of {count}"), stop);
                PngFile.Write(given.GetValue(output)!, picture);
                screen.Result(Table(changes));
                screen.Result(Markup.Escape(given.GetValue(output)!));
                screen.JsonResult(new { ok = true, file = given.GetValue(output), blocks = changes });
                return ExitCode.Done;
            });
    }

    private static Table Table(IReadOnlyList<BlockChange> changes)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumn("block").AddColumn("layers").AddColumn("delta ÷ weight").AddColumn("picture changed");
        foreach (var block in changes)
            table.AddRow(block.Block, block.Layers.ToString(CultureInfo.InvariantCulture), block.Norm.ToString("P1", CultureInfo.InvariantCulture), block.Change.ToString("P3", CultureInfo.InvariantCulture));
        return table;
    }
}
