using System.CommandLine;
using System.CommandLine.Parsing;
using Levain.Cli.Commands;
using Levain.Core;

namespace Levain.Cli;

/// <summary>The <c>levain</c> program: one entry per command, each written in a file of its own.</summary>
internal static class LevainCommand
{
    /// <summary><c>--json</c>: standard output is one JSON object, progress and notes stay on standard error.</summary>
    public static Option<bool> Json { get; } = new("--json")
    {
        Description = "Print one JSON object on standard output; progress stays on standard error.",
        Recursive = true,
    };

    /// <summary>The whole command line, ready to parse.</summary>
    public static RootCommand Create() => new("Bakes LoRAs for Stable Diffusion: a folder of pictures in, a tested LoRA out.")
    {
        Json,
        DemoCommand.Create(),
        TrainCommand.Create(),
        KohyaCommand.Create(),
        ImportCommand.Create(),
        CheckCommand.Create(),
        PresetsCommand.Create(),
        InspectCommand.Create(),
        SampleCommand.Create(),
        RegCommand.Create(),
        GridCommand.Create(),
        BlocksCommand.Create(),
        BlockRatesCommand.Create(),
        TasteCommand.Create(),
        DoctorCommand.Create(),
        BenchCommand.Create(),
    };

    /// <summary>Parses and runs; returns the process's <see cref="ExitCode"/>.</summary>
    public static int Run(string[] arguments)
    {
        var root = Create();
        var given = root.Parse(arguments is [] ? ["--help"] : KohyaCommand.Protect(arguments), new ParserConfiguration { EnablePosixBundling = false });
        if (EmptyNames(given) is { Count: > 0 } empty)
        {
            Screen.For(given).Fail(empty);
            return ExitCode.Settings;
        }
        if (given.Errors.Count > 0)
        {
            Screen.For(given).Fail(Mistakes(root, given), advice: $"See: {Name(given.CommandResult.Command)} --help");
            return ExitCode.Settings;
        }
        // Ctrl+C is handled where a command runs (CommandAction): it must have all the time it needs to save.
        return given.Invoke(new() { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
    }

    private static IReadOnlyList<string> Mistakes(RootCommand root, ParseResult given)
    {
        var command = given.CommandResult.Command;
        if (given.UnmatchedTokens is not [var word, ..]) return [.. given.Errors.Select(error => error.Message)];
        return command == root && !word.StartsWith('-')
            ? [$"'{word}' is not a command of levain. {Nearest.Advice(word, [.. root.Subcommands.Select(known => known.Name)])}"]
            : [.. given.UnmatchedTokens.Select(unknown => $"'{unknown}' is not understood by {Name(command)}. {Nearest.Advice(unknown, OptionsOf(root, command))}")];
    }

    /// <summary>Files and folders whose name is empty, as a shell's variable is that was never set.</summary>
    private static List<string> EmptyNames(ParseResult given) =>
    [
        .. from result in given.CommandResult.Children
           let named = result switch
           {
               OptionResult option => (option.Option.Name, Type: option.Option.ValueType),
               ArgumentResult argument => (argument.Argument.Name, Type: argument.Argument.ValueType),
               _ => (Name: "", Type: typeof(object)),
           }
           where typeof(FileSystemInfo).IsAssignableFrom(named.Type) && result.Tokens.Any(token => token.Value.Length == 0)
           select $"{named.Name}: is an empty name. Name a file or folder.",
    ];

    private static string[] OptionsOf(RootCommand root, Command command) =>
        [.. command.Options.Concat(root.Options.Where(option => option.Recursive)).Select(option => option.Name).Distinct()];

    private static string Name(Command command) => command.Parents.OfType<Command>().FirstOrDefault() is { } parent ? $"{Name(parent)} {command.Name}" : "levain";
}
