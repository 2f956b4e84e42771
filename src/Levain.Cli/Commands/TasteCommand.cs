using System.CommandLine;
using System.Globalization;
using Levain.Core;
using Levain.Data;
using Levain.Formats;
using Levain.Generation;
using Spectre.Console;

namespace Levain.Cli.Commands;

/// <summary><c>levain taste</c>: the standard test of a training's LoRAs, with figures and a page.</summary>
internal static class TasteCommand
{
    private const string PageFile = "index.html", IndexFile = "pictures.json", FiguresFile = "figures.json", CellFolder = "pictures", UsualClass = "1girl";

    public static Command Create()
    {
        var pictures = new PictureArguments();
        var loras = new Argument<string[]>("LORA") { Description = "The networks; of a single one everything its run saved on the way (NAME-000002, NAME-step00000500) is tasted.", Arity = ArgumentArity.OneOrMore };
        var newest = new Option<int?>("--epochs") { Description = "Only the last N files of the run.", HelpName = "N" };
        var trigger = new Option<string?>("--trigger") { Description = "The word that calls up what was trained; default what the file's metadata tells.", HelpName = "WORD" };
        var kind = new Option<string?>("--class") { Description = "What the subject is to the base, for the standard prompts; default what the file's metadata tells, else 1girl.", HelpName = "TEXT" };
        var lines = new Option<string?>("--prompts-file") { Description = $"Prompts in place of the standard ones, one a line, with {Tasting.Place} where the word stands.", HelpName = "FILE" };
        var strengths = new Option<string>("--strengths") { Description = "Strengths.", DefaultValueFactory = _ => "0.6,0.8,1,1.2", HelpName = "LIST" };
        var training = new Option<DirectoryInfo?>("--training") { Description = "The folder of training pictures that drawn ones are compared with.", HelpName = "DIR" };
        var output = new Option<string>("--output", "-o") { Description = "The folder of pictures, figures and page.", DefaultValueFactory = _ => "tasting", HelpName = "DIR" };
        return pictures.AddTo(new Command("taste", "Test LoRAs: epochs × strengths over standard prompts, with and without the trigger word. Stopped, it goes on where it was.")
            { loras, newest, trigger, kind, lines, strengths, training, output })
            .Runs((given, screen, stop) =>
            {
                var problems = new Problems();
                var seeds = pictures.Seeds(given, problems);
                var files = given.GetValue(loras) ?? [];
                foreach (var file in files) problems.Require(File.Exists(file), file, "is not there.", "Check the path.");
                problems.Require(given.GetValue(newest) is null or >= 1, "--epochs", $"is {given.GetValue(newest)}.", "Use 1 or more.");
                problems.ThrowIfAny();
                var words = WordsOf(files[0]);
                var call = given.GetValue(trigger) ?? words.Trigger;
                problems.Require(!string.IsNullOrWhiteSpace(call), "--trigger", call is null ? "is not given, and the file does not tell." : "is empty.", "Name the word that calls up what was trained.");
                if (files.Length == 1) files = [.. NetworkEpochs.Beside(files[0], given.GetValue(newest)).Select(epoch => epoch.Path)];
                var prompts = given.GetValue(lines) is null ? Tasting.StandardPrompts(given.GetValue(kind) ?? words.Subject ?? UsualClass) : [.. PromptNameArguments.Lines(given.GetValue(lines), problems, screen).Select(line => $"{line.Options.GetValueOrDefault("prompt")}")];
                problems.Require(given.GetValue(training) is not { Exists: false }, "--training", $"names {given.GetValue(training)}, which is no folder.", "Check the path.");
                OutputPlace.CheckFolder(given.GetValue(output)!, output.Name, problems);
                var tasting = new Tasting(pictures.Request(given, screen, problems), files, call ?? "")
                {
                    Strengths = PictureArguments.List<double>(given.GetValue(strengths), "--strengths", problems),
                    Prompts = prompts,
                    Seeds = seeds,
                };
                problems.Require(tasting.Strengths.Count > 0, "--strengths", "is empty.", "Write numbers with commas between them: 0.6,0.8,1.");
                problems.ThrowIfAny();
                tasting = tasting with { Training = Pictures(given.GetValue(training), screen) };

                var folder = Directory.CreateDirectory(given.GetValue(output)!).FullName;
                using var bases = pictures.Bases(given, screen);
                screen.Note($"{Counted.Of(tasting.Grid().Count, "picture")}: {Counted.Of(tasting.Networks.Count, "network")} × {Counted.Of(tasting.Strengths.Count, "strength")} and the base alone, {Counted.Of(tasting.Prompts.Count, "prompt")} × {Counted.Of(tasting.Seeds.Count, "seed")}, with the word and without");
                var noted = new HashSet<string>(StringComparer.Ordinal);
                var cells = new Dictionary<(int, int, int), string>();
                var result = tasting.Draw(bases, new(Path.Combine(folder, CellFolder), Path.Combine(folder, IndexFile)), (done, count, cell) =>
                {
                    cells[(cell.X, cell.Y, cell.Z)] = $"{CellFolder}/{cell.File}";
                    foreach (var note in cell.Notes.Where(noted.Add)) screen.Note($"[yellow]{Markup.Escape(note)}[/]");
                    screen.Note($"{done} of {count}: {Markup.Escape(cell.File)}");
                }, (done, count) => screen.Note($"compared {done} of {count}"), stop);
                AtomicFile.WriteText(Path.Combine(folder, PageFile), TastePage.Of(tasting, result, (x, y, z) => cells[(x, y, z)]));
                var told = new { ok = true, page = Path.Combine(folder, PageFile), figures = result.Figures, suggestion = result.Best < 0 ? null : result.Figures[result.Best], result.Reason, drawn = result.Grid.Drawn };
                AtomicFile.WriteText(Path.Combine(folder, FiguresFile), Screen.ToJson(told));
                screen.Result(Table(result));
                screen.Result(Markup.Escape(result.Reason));
                screen.Result(Markup.Escape(Path.Combine(folder, PageFile)));
                screen.JsonResult(told);
                return ExitCode.Done;
            });
    }

    private static TrainedWords WordsOf(string file)
    {
        using var network = TensorFile.Open(file);
        return TrainedWords.Of(network.Metadata);
    }

    private static List<Picture> Pictures(DirectoryInfo? folder, Screen screen)
    {
        var read = new List<Picture>();
        foreach (var file in folder?.EnumerateFiles("*", SearchOption.AllDirectories).Where(file => ImageNames.IsPicture(file.Name, Compat.Sound)).OrderBy(file => file.FullName, StringComparer.Ordinal) ?? Enumerable.Empty<FileInfo>())
        {
            try
            {
                var pixels = ImageReader.Read(file.FullName, Compat.Sound).Pixels;
                read.Add(new(pixels.Size, pixels.Data));
            }
            catch (ImageException damaged)
            {
                screen.Note($"[yellow]{Markup.Escape($"{file.FullName}: {damaged.Message} It is left out.")}[/]");
            }
        }
        return read;
    }

    private static Table Table(TasteResult result)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumn("network").AddColumn("strength").AddColumn("moved by the word").AddColumn("leak without it").AddColumn("like the training pictures").AddColumn("the same without the word");
        foreach (var (i, figure) in result.Figures.Index())
            table.AddRow(Markup.Escape(figure.Network) + (i == result.Best ? " [green](suggested)[/]" : ""), figure.Strength.ToString("R", CultureInfo.InvariantCulture),
                figure.Change.ToString("P1", CultureInfo.InvariantCulture), figure.Leak.ToString("P1", CultureInfo.InvariantCulture), figure.Likeness?.ToString("P0", CultureInfo.InvariantCulture) ?? "", figure.LeakLikeness?.ToString("P0", CultureInfo.InvariantCulture) ?? "");
        return table;
    }
}
