using System.CommandLine;
using Levain.Core;
using Levain.Models.Inspection;
using Spectre.Console;

namespace Levain.Cli.Commands;

/// <summary><c>levain inspect</c>: what a checkpoint, LoRA or embedding is and holds.</summary>
internal static class InspectCommand
{
    private const double Mebi = 1 << 20;
    private const int NonFiniteShown = 10;

    public static Command Create()
    {
        var file = new Argument<string>("file") { Description = "Checkpoint, LoRA, embedding, VAE, or a diffusers folder." };
        var quick = new Option<bool>("--quick") { Description = "Read headers only: no hashes, no search for values that are not finite." };
        var raw = new Option<bool>("--metadata") { Description = "Print the metadata as it stands, too." };
        return new Command("inspect", "Explain a file: what it is, for which base, ranks per block, training, hashes, damage.") { file, quick, raw }
            .Runs((given, screen, stop) =>
            {
                var report = FileReport.Of(given.GetValue(file)!, given.GetValue(quick), stop);
                screen.JsonResult(report);
                Print(screen, report, given.GetValue(raw));
                return ExitCode.Done;
            });
    }

    private static void Print(Screen screen, FileReport report, bool raw)
    {
        screen.Result($"[bold]{Text(Path.GetFileName(Path.TrimEndingDirectorySeparator(report.Path)))}[/] is {Text(report.Kind.Name)}.");
        screen.Result(Facts(General(report)));
        if (report.Parts.Count > 0) screen.Result(Rows(["part", "tensors", "parameters"], report.Parts.Select(part => new[] { part.Part, $"{part.Tensors:N0}", $"{part.Parameters:N0}" })));
        if (report.Network is { } network)
        {
            screen.Result($"{network.Adapters:N0} adapters in {Text(network.Spelling)} names:");
            screen.Result(Rows(["part", "block", "family", "rank", "alpha", "adapters", "on"], network.Blocks.Select(block => new[]
                { block.Part, block.Block, block.Family, block.Rank?.ToString() ?? "–", block.Alpha is { } alpha ? $"{alpha:0.####}" : "= rank", $"{block.Adapters:N0}", string.Join(", ", block.Layers) })));
        }
        foreach (var embedding in report.Embeddings) screen.Result($"{Text(embedding.Name)}: {Counted.Of(embedding.Vectors, "vector")} of width {embedding.Width}");
        if (report.Training.Count > 0)
        {
            screen.Result("[bold]What its metadata tells[/]");
            screen.Result(Facts(report.Training.Select(fact => (fact.Name, fact.Value))));
        }
        if (raw) screen.Result(Facts(report.Metadata.Select(pair => (pair.Key, pair.Value))));
        foreach (var bad in (report.NonFinite ?? []).Take(NonFiniteShown)) screen.Result($"[red]not finite:[/] {Text(bad.Name)}: {bad.NaNs:N0} NaN, {bad.Infinities:N0} infinite of {bad.Count:N0}");
        foreach (var warning in report.Warnings) screen.Result($"[yellow]![/] {Text(warning)}");
    }

    private static IEnumerable<(string, string)> General(FileReport report)
    {
        yield return ("format", report.Format);
        yield return ("size", $"{report.Bytes / Mebi:N1} MiB, {Counted.Of(report.Tensors, "tensor")}, {Counted.Of(report.Parameters, "parameter")}");
        yield return ("stored as", string.Join(", ", report.Dtypes.Select(pair => $"{pair.Value:N0} {pair.Key}")));
        if (report.Hashes is { } hashes)
        {
            yield return ("sha256", hashes.Sha256);
            yield return ("webui hash", $"{Formats.ModelHashes.Short(hashes.Sha256)} (old: {hashes.Old})");
            if (hashes.Network is { } network) yield return ("hash of values", network);
        }
        if (report.NonFinite is { Count: 0 }) yield return ("values", "all finite");
    }

    private static Table Facts(IEnumerable<(string Name, string Value)> facts)
    {
        var table = new Table().Border(TableBorder.None).HideHeaders().AddColumns("", "");
        foreach (var (name, value) in facts) table.AddRow($"[grey]{Text(name)}[/]", Text(value));
        return table;
    }

    private static Table Rows(string[] columns, IEnumerable<string[]> rows)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumns(columns);
        foreach (var row in rows) table.AddRow([.. row.Select(Text)]);
        return table;
    }

    private static string Text(string text) => Markup.Escape(text);
}
