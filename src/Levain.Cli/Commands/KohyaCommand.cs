using System.CommandLine;
using Levain.Core;
using Levain.Training;
using Levain.Training.Kohya;
using Levain.Training.Planning;
using Levain.Training.Settings;
using Spectre.Console;

namespace Levain.Cli.Commands;

/// <summary><c>levain kohya train_network …</c>: a command line of kohya's trainers, word for word.</summary>
internal static class KohyaCommand
{
    private const string Name = "kohya";

    private static readonly Option<FileInfo?> WriteRunFile = new("--write-run-file") { Description = "Write the equivalent run file instead of training.", HelpName = "FILE" };
    private static readonly Option<bool> Sound = new("--sound") { Description = "Do the sound thing where kohya is evidently mistaken (docs/compat.md); default: kohya's numbers, mistakes included." };
    private static readonly Option<bool> GoOn = new("--go-on") { Description = "Go on from the run's newest snapshot." };
    private static readonly Option<bool> PlanOnly = new("--plan") { Description = "Show the plan without training." };
    private static readonly Option<bool> SkipBroken = new("--skip-broken") { Description = "Go on without pictures that cannot be read." };
    private static readonly MachineArguments Machine = new();
    private static readonly Argument<string[]> Words = new("TRAINER …")
    {
        Description = "train_network, train_db, fine_tune or train_textual_inversion (with or without .py, an accelerate launch before it or not) and its options, --config_file and --dataset_config included.",
        Arity = ArgumentArity.ZeroOrMore,
    };

    public static Command Create()
    {
        var command = new Command(Name, "Train from a command line of kohya's trainers, word for word.") { WriteRunFile, Sound, GoOn, PlanOnly, SkipBroken, Words };
        return Machine.AddTo(command).Runs(Run);
    }

    /// <summary>Levain's own options of the command first, then <c>--</c>, then all words that are kohya's, so that the parser leaves those alone.</summary>
    public static string[] Protect(string[] arguments)
    {
        var at = Array.IndexOf(arguments, Name);
        if (at < 0 || arguments.Take(at).Any(word => !word.StartsWith('-'))) return arguments;
        var (own, theirs) = (new List<string>(), new List<string>());
        Option[] options = [WriteRunFile, Sound, GoOn, PlanOnly, SkipBroken, Machine.Device, Machine.Memory, Machine.Threads, LevainCommand.Json];
        for (var i = at + 1; i < arguments.Length; i++)
        {
            var word = arguments[i];
            if (theirs.Count == 0 && word is "--") continue;
            if (theirs.Count == 0 && word is "--help" or "-h" or "-?") own.Add(word);
            else if (options.FirstOrDefault(option => word == option.Name || word.StartsWith(option.Name + "=", StringComparison.Ordinal)) is not { } option) theirs.Add(word);
            else
            {
                own.Add(word);
                if (word == option.Name && option.ValueType != typeof(bool) && i + 1 < arguments.Length) own.Add(arguments[++i]);
            }
        }
        return [.. arguments[..(at + 1)], .. own, .. theirs.Count == 0 ? [] : theirs.Prepend("--")];
    }

    private static int Run(ParseResult given, Screen screen, CancellationToken stop)
    {
        var call = KohyaCall.Read(given.GetValue(Words) ?? []);
        if (call.Launcher.Count > 0) screen.Note($"[grey]{Markup.Escape(string.Join(' ', call.Launcher))}: Levain starts itself, with nothing before it.[/]");
        if (KohyaArguments.ConfigFile(call.Arguments, call.Trainer) is var (config, text))
        {
            AtomicFile.WriteText(config, text);
            screen.Result(Markup.Escape(config));
            screen.JsonResult(new { ok = true, path = config });
            return ExitCode.Done;
        }
        var notes = new List<string>();
        var (settings, problems) = KohyaArguments.Read(call.Arguments, call.Trainer, notes: notes);
        foreach (var note in notes) screen.Note($"[grey]{Markup.Escape(note)}[/]");
        if (given.GetValue(Sound)) settings = settings.Soundly();
        if (given.GetValue(WriteRunFile) is { } target)
        {
            settings.Check(problems);
            problems.ThrowIfAny();
            RunFileWriting.Write(screen, settings, target);
            screen.JsonResult(new { ok = true, path = target.FullName });
            return ExitCode.Done;
        }
        var goesOn = given.GetValue(GoOn);
        var earlier = goesOn ? EarlierRun.Find(settings.Output) : null;
        settings = settings.Seeded(earlier?.Seed ?? Random.Shared.NextInt64(uint.MaxValue + 1L));
        if (given.GetValue(PlanOnly)) return ShowPlan(screen, settings, problems, given.GetValue(SkipBroken), stop);
        var result = new Baking(screen) { Resume = goesOn, SkipBroken = given.GetValue(SkipBroken) }.Run(settings, problems, Machine.Choose(given, settings, earlier), stop);
        if (result.Finished) screen.Result(Markup.Escape(result.Path!));
        else screen.Note(result.Path is null ? $"[yellow]Stopped after step {result.Step}, without a snapshot.[/]" : $"Stopped after step {result.Step}. Go on with the same command and --go-on.");
        screen.JsonResult(new { ok = result.Finished, finished = result.Finished, result.Step, result.Path });
        return result.Finished ? ExitCode.Done : ExitCode.Cancelled;
    }

    private static int ShowPlan(Screen screen, RunSettings settings, Problems problems, bool skipBroken, CancellationToken stop)
    {
        var plan = RunPlan.Make(settings, problems, new PythonRandom(settings.Training.Seed!.Value), skipBroken, cancel: stop) ?? throw new SettingsException(problems.All);
        screen.Result(PlanView.Table(plan, floor: null));
        foreach (var warning in plan.Warnings) screen.Result($"[yellow]{Markup.Escape(warning)}[/]");
        screen.JsonResult(new { ok = true, plan = PlanView.Json(plan, null) });
        return ExitCode.Done;
    }
}
