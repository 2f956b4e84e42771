using System.CommandLine;
using Levain.Core;
using Levain.Data;
using Levain.Generation;
using Spectre.Console;

namespace Levain.Cli.Commands;

/// <summary><c>levain reg</c>: regularization pictures by the base itself, for kohya's folders. Stopped, it goes on where it was.</summary>
internal static class RegCommand
{
    private const int UsualCount = 200;

    public static Command Create() => new Command("reg", "Draw regularization pictures: the base's own idea of a class, for kohya's reg folders.") { OfClass(), OfCaptions() };

    private static Command OfClass()
    {
        var pictures = new PictureArguments();
        var prompt = new Option<string[]>("--prompt", "-p") { Description = "The class, as 1girl or \"photo of a woman\"; several take turns.", HelpName = "TEXT", Required = true };
        var count = new Option<int>("--count") { Description = "Pictures; about training pictures × repeats are used.", DefaultValueFactory = _ => UsualCount, HelpName = "N" };
        var output = Output("reg/1_class");
        return pictures.AddTo(new Command("class", "The easy route: the same class prompts, seed after seed.") { prompt, count, output })
            .Runs((given, screen, stop) =>
            {
                var problems = new Problems();
                var request = pictures.Request(given, screen, problems);
                problems.Require(given.GetValue(count) is >= 1 and <= 100_000, "--count", $"is {given.GetValue(count)}.", "Use 1 or more; 200 is usual.");
                OutputPlace.CheckFolder(given.GetValue(output)!, output.Name, problems);
                request.Check(problems);
                problems.ThrowIfAny();
                return Draw(given, screen, pictures, RegPicture.OfClass(request, given.GetValue(prompt)!, given.GetValue(count)), given.GetValue(output)!, stop);
            });
    }

    private static Command OfCaptions()
    {
        var pictures = new PictureArguments();
        var folder = new Argument<string>("PICTURES") { Description = "The folder of training pictures with their captions." };
        var trigger = new Option<string>("--trigger") { Description = "The words that call the subject, with commas between: they are left out.", HelpName = "WORDS", Required = true };
        var extension = new Option<string>("--caption-extension") { Description = "Ending of caption files.", DefaultValueFactory = _ => ".txt", HelpName = "EXT" };
        var square = new Option<bool>("--square") { Description = "All at --size, as in the guide; otherwise in each picture's shape with about as many px." };
        var output = Output("reg/1_class");
        return pictures.AddTo(new Command("captions", "The hard route: one picture for each training picture, from its caption without the trigger, all from one seed.") { folder, trigger, extension, square, output })
            .Runs((given, screen, stop) =>
            {
                var problems = new Problems();
                var request = pictures.Request(given, screen, problems);
                var set = given.GetValue(folder)!;
                problems.Require(Directory.Exists(set), set, "is not a folder.", "Name the folder of the training pictures.");
                OutputPlace.CheckFolder(given.GetValue(output)!, output.Name, problems);
                request.Check(problems);
                problems.ThrowIfAny();
                var wanted = Files(set).Select(file => RegPicture.OfCaption(request, Path.GetFileNameWithoutExtension(file),
                    CaptionFile.Find(file, given.GetValue(extension)!) is { } caption ? CaptionFile.Read(caption, everyLine: false) : "", given.GetValue(trigger)!,
                    given.GetValue(square) ? request.Size : Shaped(file, request.Size))).ToList();
                problems.Require(wanted.Count > 0, set, "holds no picture.", "Name the folder of the training pictures.");
                foreach (var twice in wanted.GroupBy(picture => picture.Name).Where(group => group.Count() > 1))
                    problems.Add(set, $"holds {twice.Count()} pictures called {twice.Key}.", "Give each a name of its own.");
                problems.ThrowIfAny();
                return Draw(given, screen, pictures, wanted, given.GetValue(output)!, stop);
            });
    }

    private static int Draw(ParseResult given, Screen screen, PictureArguments pictures, IReadOnlyList<RegPicture> wanted, string folder, CancellationToken stop)
    {
        using var model = pictures.OpenBase(given);
        using var pipeline = pictures.Pipeline(given, model, screen);
        var drawn = RegPicture.Draw(pipeline, wanted, folder, (done, count, file) => screen.Note($"{done} of {count}: {Markup.Escape(file)}"), stop);
        screen.Result(Markup.Escape($"{folder}: {Counted.Of(wanted.Count, "picture")}, {drawn} of them drawn now."));
        screen.JsonResult(new { ok = true, folder, pictures = wanted.Count, drawn });
        return ExitCode.Done;
    }

    private static Option<string> Output(string usual) => new("--output", "-o") { Description = "The folder; for kohya REPEATS_CLASS inside the reg folder.", DefaultValueFactory = _ => usual, HelpName = "DIR" };

    private static IEnumerable<string> Files(string folder) =>
        Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Where(file => ImageNames.IsPicture(Path.GetFileName(file), Compat.Sound)).Order(StringComparer.Ordinal);

    // The picture's shape with about the area asked for, sides as the U-Net likes them.
    private static PixelSize Shaped(string file, PixelSize wanted)
    {
        const double Step = 64;
        using var stream = File.OpenRead(file);
        var size = ImageHeader.Read(stream).Size;
        var scale = Math.Sqrt((double)wanted.Area / size.Area);
        static int side(double px) => (int)(Math.Max(1, Math.Round(px / Step)) * Step);
        return new(side(size.Width * scale), side(size.Height * scale));
    }
}
