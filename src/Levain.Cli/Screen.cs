using System.CommandLine;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Levain.Cli;

/// <summary>Where a command's words go: results to standard output, progress and notes to standard error.</summary>
internal sealed class Screen
{
    private static readonly JsonSerializerOptions JsonOptions = new(JsonSerializerDefaults.Web)
    {
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase) },
    };

    private const int PipedWidth = 160;
    private readonly Lazy<IAnsiConsole> results = new(() => ConsoleOver(Console.Out, Console.IsOutputRedirected));
    private readonly Lazy<IAnsiConsole> notes = new(() => ConsoleOver(Console.Error, Console.IsErrorRedirected));

    private Screen(bool json) => Json = json;

    /// <summary>The screen a parsed command line asks for.</summary>
    public static Screen For(ParseResult given) => new(given.GetValue(LevainCommand.Json));

    /// <summary>Whether standard output is to be one JSON object.</summary>
    public bool Json { get; }

    /// <summary>Whether standard error is a terminal that can be drawn on live.</summary>
    public bool IsLive => !Json && !Console.IsErrorRedirected && notes.Value.Profile.Capabilities.Interactive;

    /// <summary>Standard error, for live drawing and notes.</summary>
    public IAnsiConsole Notes => notes.Value;

    /// <summary>Prints a result for people (Spectre markup); silent under <c>--json</c>.</summary>
    public void Result(string markup)
    {
        if (!Json) results.Value.MarkupLine(markup);
    }

    /// <summary>Prints a result for people; silent under <c>--json</c>.</summary>
    public void Result(IRenderable result)
    {
        if (!Json) results.Value.Write(result);
    }

    /// <summary>Prints the command's one result for programs, only under <c>--json</c>. Call it once.</summary>
    public void JsonResult(object result)
    {
        if (Json) Console.Out.WriteLine(ToJson(result));
    }

    /// <summary>One line of progress or advice for people, on standard error (Spectre markup); silent under <c>--json</c>.</summary>
    public void Note(string markup)
    {
        if (!Json) notes.Value.MarkupLine(markup);
    }

    /// <summary>Something to look at on the way, for people, on standard error; silent under <c>--json</c>.</summary>
    public void Note(IRenderable note)
    {
        if (!Json) notes.Value.Write(note);
    }

    /// <summary>One event for programs: a JSON object in one line on standard error.</summary>
    public static void JsonNote(object note) => Console.Error.WriteLine(ToJson(note));

    /// <summary>Says what went wrong, one line each; under <c>--json</c> standard output gets the same as an object.</summary>
    public void Fail(IReadOnlyList<string> messages, string? advice = null)
    {
        foreach (var message in messages) notes.Value.MarkupLine($"[red]error:[/] {Markup.Escape(message)}");
        if (advice is not null) notes.Value.MarkupLine(Markup.Escape(advice));
        JsonResult(new { ok = false, errors = messages });
    }

    /// <summary>Camel-cased JSON in one line; numbers that are not finite become "NaN" or "Infinity".</summary>
    public static string ToJson(object value) => JsonSerializer.Serialize(value, JsonOptions);

    private static IAnsiConsole ConsoleOver(TextWriter writer, bool redirected)
    {
        var console = AnsiConsole.Create(new()
        {
            Out = new AnsiConsoleOutput(writer),
            Ansi = redirected ? AnsiSupport.No : AnsiSupport.Detect,
            Interactive = redirected ? InteractionSupport.No : InteractionSupport.Detect,
        });
        if (redirected) console.Profile.Width = PipedWidth; // a log file has no width; 80 would cut paths
        return console;
    }
}
