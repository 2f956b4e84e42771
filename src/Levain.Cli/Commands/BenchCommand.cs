using System.CommandLine;
using System.Globalization;
using Levain.Cli.Bench;
using Levain.Core;
using Levain.Models;
using Levain.Training.Settings;
using Spectre.Console;
using static TorchSharp.torch;

namespace Levain.Cli.Commands;

/// <summary><c>levain bench</c>: how fast this machine trains and draws, as shares of its own best arithmetic, and in how much memory.</summary>
internal static class BenchCommand
{
    public static Command Create()
    {
        var what = new Argument<string[]>("WHAT")
        {
            Description = string.Join("; ", Benches.All.Select(bench => $"{bench.Name}: {bench.Summary}")) + $". By default all but {string.Join(", ", Benches.All.Where(bench => bench.OnRequest).Select(bench => bench.Name))}.",
            Arity = ArgumentArity.ZeroOrMore,
        };
        var precision = new Option<Precision>("--precision") { Description = "fp32, bf16, or auto: fp32 and, where it is the faster one, bf16.", DefaultValueFactory = _ => Precision.Auto };
        var memory = new Option<MemoryPolicy?>("--memory") { Description = "What a training step keeps: fast, lean or auto. By default fast and lean are both measured." };
        var repeats = new Option<int>("--repeats") { Description = "Readings of each; the fastest counts.", DefaultValueFactory = _ => 3 };
        var threads = new Option<int>("--threads") { Description = "Threads; 0 for one on each core.", DefaultValueFactory = _ => 0 };
        var cpuTime = new Option<bool>("--cpu-time") { Description = "Count the processor time of one thread instead of time passed: for a machine that others keep busy." };
        var explain = new Option<bool>("--explain") { Description = "Say what was chosen for this machine and why, and measure nothing else." };
        var here = new Option<DirectoryInfo?>("--here") { Description = "Measure in this process, with the bases in this folder.", Hidden = true };
        return new Command("bench", "Measure training and drawing: seconds, share of the machine's own fp32 rate, memory.") { what, precision, memory, repeats, threads, cpuTime, explain, here }
            .Runs((given, screen, stop) =>
            {
                var problems = new Problems();
                var chosen = Chosen(given.GetValue(what) ?? [], problems);
                problems.Require(given.GetValue(repeats) >= 1, "--repeats", $"is {given.GetValue(repeats)}.", "Use 1 or more.");
                problems.Require(given.GetValue(precision) is not Precision.Fp16, "--precision", "is fp16, which CPUs do not compute in.", "Use fp32, bf16 or auto.");
                problems.ThrowIfAny();

                var count = given.GetValue(cpuTime) ? 1 : given.GetValue(threads);      // other threads' time is not on this one's clock
                var options = new EngineOptions { Device = "cpu", Dtype = Dtype(given.GetValue(precision)), Threads = count, Memory = given.GetValue(memory) ?? MemoryPolicy.Auto };
                var compute = Engine.Start(options);
                if (given.GetValue(explain)) return Explain(compute, screen);
                if (given.GetValue(here) is { } folder)
                {
                    screen.JsonResult(new { ok = true, rows = Measure(chosen[0], compute, folder.FullName, given.GetValue(repeats), given.GetValue(cpuTime)) });
                    return ExitCode.Done;
                }
                var rows = MeasureAll(chosen, given.GetValue(precision), given.GetValue(memory), ["--repeats", Text(given.GetValue(repeats)), "--threads", Text(count), .. given.GetValue(cpuTime) ? (string[])["--cpu-time"] : []], screen, stop);
                screen.Result(Table(rows));
                screen.JsonResult(new { ok = true, rows });
                return ExitCode.Done;
            });
    }

    private static IReadOnlyList<BenchRow> Measure(Bench.Bench bench, Compute compute, string folder, int repeats, bool cpuTime)
    {
        using var scene = new BenchScene(compute, bench.Base is null ? "" : Path.Combine(folder, bench.Base.Name + ".safetensors"), folder, repeats, cpuTime) { HasFloor = !bench.FromStart };
        scene.MeasureFloor();
        var rows = bench.Measure(scene).ToList();
        scene.MeasureFloor();
        return [.. rows.Select(row => row with { Floor = scene.Floor, How = How(compute) })];
    }

    private static List<BenchRow> MeasureAll(IReadOnlyList<Bench.Bench> benches, Precision precision, MemoryPolicy? memory, string[] shared, Screen screen, CancellationToken stop)
    {
        var folder = Directory.CreateTempSubdirectory("levain-bench-");
        try
        {
            foreach (var model in benches.Select(bench => bench.Base).OfType<SyntheticBase>().Distinct())
            {
                screen.Note($"Writing a base with made-up weights: {model.Name} …");
                model.Write(folder.FullName);
            }
            var rows = new List<BenchRow>();
            foreach (var bench in benches)
                foreach (var type in Precisions(bench, precision))
                    foreach (var policy in memory is { } asked ? [asked] : bench.Lean ? (MemoryPolicy[])[MemoryPolicy.Fast, MemoryPolicy.Lean] : [MemoryPolicy.Auto])
                    {
                        screen.Note($"Measuring {bench.Name}, {Spell(type)}{(bench.Lean ? $", {Spell(policy)}" : "")} …");
                        rows.AddRange(BenchProcess.Run([bench.Name, "--precision", Spell(type), "--memory", Spell(policy), "--here", folder.FullName, .. shared], stop));
                    }
            return rows;
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static IReadOnlyList<Precision> Precisions(Bench.Bench bench, Precision asked) =>
        asked is not Precision.Auto ? [asked] : bench.Halves && Engine.Bf16IsFaster ? [Precision.Fp32, Precision.Bf16] : [Precision.Fp32];

    private static List<Bench.Bench> Chosen(string[] names, Problems problems)
    {
        if (names is []) return [.. Benches.All.Where(bench => !bench.OnRequest)];
        var chosen = new List<Bench.Bench>();
        foreach (var name in names)
        {
            if (Benches.All.FirstOrDefault(bench => bench.Name == name) is { } bench) chosen.Add(bench);
            else problems.Add("bench", $"knows no '{name}'.", Nearest.Advice(name, [.. Benches.All.Select(bench => bench.Name)]));
        }
        return chosen;
    }

    private static int Explain(Compute compute, Screen screen)
    {
        var choices = EngineChoices.Of(compute);
        var table = new Table().Border(TableBorder.None).AddColumns("choice", "value", "because");
        foreach (var choice in choices) table.AddRow(Markup.Escape(choice.Name), Markup.Escape(choice.Value), Markup.Escape(choice.Reason));
        screen.Result(table);
        screen.JsonResult(new { ok = true, choices });
        return ExitCode.Done;
    }

    private static Table Table(IReadOnlyList<BenchRow> rows)
    {
        var table = new Table().Border(TableBorder.None).AddColumns("what", "how", "seconds", "share of floor", "floor, GFLOP/s", "peak memory");
        foreach (var column in table.Columns.Skip(2)) column.RightAligned();
        foreach (var row in rows)
            table.AddRow(Markup.Escape(row.What), Markup.Escape(row.How), Text($"{row.Seconds:0.000}"), row.Share is { } share ? Text($"{share:0.00}") : "", row.Floor > 0 ? Text($"{row.Floor:0}") : "",
                row.PeakBytes is { } bytes and > 0 ? Text($"{bytes / 1e9:0.00} GB") : "");
        return table;
    }

    private static ScalarType? Dtype(Precision precision) => precision switch { Precision.Bf16 => ScalarType.BFloat16, Precision.Fp32 => ScalarType.Float32, _ => null };

    private static string How(Compute compute) => $"{(compute.Dtype == ScalarType.BFloat16 ? "bf16" : "fp32")}, {Spell(compute.Memory)}";

    private static string Spell(Enum value) => value.ToString().ToLowerInvariant();

    private static string Text(FormattableString text) => FormattableString.Invariant(text);

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
