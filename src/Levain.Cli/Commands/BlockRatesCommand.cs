using System.CommandLine;
using System.Globalization;
using Levain.Cli.Watching;
using Levain.Core;
using Levain.Generation;
using Levain.Models;
using Levain.Training;
using Levain.Training.Planning;
using Levain.Training.Settings;
using Levain.Training.Watching;
using Spectre.Console;

namespace Levain.Cli.Commands;

/// <summary><c>levain block-rates RUN.toml</c>: which blocks of the U-Net want a learning rate of their own.</summary>
internal static class BlockRatesCommand
{
    public static Command Create()
    {
        var usual = new BlockRateSearch(new());
        var (file, machine) = (new RunFileArguments(), new MachineArguments());
        var steps = new Option<int>("--steps") { Description = "Steps of each trial; there are two for each block, and three more.", DefaultValueFactory = _ => usual.Steps };
        var factor = new Option<double>("--factor") { Description = "What a block's rate is multiplied and divided by.", DefaultValueFactory = _ => usual.Factor };
        var blocks = new Option<string>("--blocks") { Description = "Blocks looked at: 'IN04-M00 OUT05'; default all in which the network has adapters.", DefaultValueFactory = _ => "", HelpName = "LIST" };
        var output = new Option<string>("--output", "-o") { Description = "The plot.", DefaultValueFactory = _ => "block-rates.png", HelpName = "FILE" };
        var command = machine.AddTo(file.AddTo(new Command("block-rates", "Find which blocks want a higher or lower learning rate, by short trials from one start: a table, a plot, run-file lines.")));
        foreach (var option in new Option[] { steps, factor, blocks, output }) command.Options.Add(option);
        return command.Runs((given, screen, stop) =>
        {
            var (settings, problems) = file.Read(given);
            PictureArguments.CheckPng(given.GetValue(output)!, problems);
            var search = new BlockRateSearch(settings) { Steps = given.GetValue(steps), Factor = given.GetValue(factor), Blocks = BlockAnalysis.Named(given.GetValue(blocks)!, problems) };
            search.Check(problems);
            problems.ThrowIfAny();
            var folder = Directory.CreateTempSubdirectory("levain-block-rates-");
            try
            {
                var finding = Find(search, search.Prepare(folder.FullName), problems, given.GetValue(file.SkipBroken), machine.Choose(given, settings, null), screen, stop);
                BlockRatePlot.Write(given.GetValue(output)!, finding, search.Factor);
                Tell(finding, search, given.GetValue(output)!, screen);
                return ExitCode.Done;
            }
            finally { folder.Delete(recursive: true); }
        });
    }

    private static BlockRateFinding Find(BlockRateSearch search, RunSettings settings, Problems problems, bool skipBroken, EngineOptions engine, Screen screen, CancellationToken stop)
    {
        using var random = new RunRandom(settings.Training.Seed!.Value);
        if (RunPlan.Make(settings, problems, random.Python, skipBroken, progress: new Indexing(screen), cancel: stop) is not { } plan) throw new SettingsException(problems.All);
        var compute = Engine.Start(engine);
        using var model = StableDiffusion.Open(settings.Model.Base!, compute, settings.Model.Vae);
        return RunWatch.Show(screen, events =>
        {
            using var run = new Run(plan, random, model, events: events, cancel: stop);
            return search.Find(run, (done, all) => screen.Note($"{done} of {all} trials done"), stop);
        });
    }

    private static void Tell(BlockRateFinding finding, BlockRateSearch search, string plot, Screen screen)
    {
        static string share(double gain) => double.IsFinite(gain) ? gain.ToString("+0.00%;-0.00%;0.00%", CultureInfo.InvariantCulture) : "goes wrong";
        var table = new Table().Border(TableBorder.Simple).AddColumn("block").AddColumn(FormattableString.Invariant($"rate ÷ {search.Factor}")).AddColumn(FormattableString.Invariant($"rate × {search.Factor}")).AddColumn("proposed weight");
        foreach (var trial in finding.Trials)
            table.AddRow(trial.Block, share(finding.Gain(trial.Lowered)), share(finding.Gain(trial.Raised)), finding.Weights[trial.Index].ToString("0.####", CultureInfo.InvariantCulture));
        screen.Result(FormattableString.Invariant($"{Counted.Of(search.Steps, "step")} {(search.Steps == 1 ? "brings" : "bring")} the loss of pictures set aside from {finding.Start:0.00000} to {finding.Common:0.00000}. More or less of that is gained with one block's rate changed:"));
        screen.Result(table);
        screen.Result(finding.Helps ? FormattableString.Invariant($"All proposed weights together: {finding.Together:0.00000}, {share(finding.Gain(finding.Together))}. In the run file:")
            : finding.Together == finding.Common ? "No block gains by a rate of its own: leave them as they are."
            : FormattableString.Invariant($"All proposed weights together: {finding.Together:0.00000}, no better than the rates as they are. Leave them; single weights may still be worth a try:"));
        if (finding.Together != finding.Common) screen.Result(Markup.Escape(finding.ToToml()));
        screen.Result(Markup.Escape(plot));
        screen.JsonResult(new { ok = true, file = plot, finding.Start, finding.Common, finding.Together, finding.Helps, finding.Weights, blocks = finding.Trials.Select(trial => new { trial.Block, Lowered = Finite(trial.Lowered), Raised = Finite(trial.Raised) }) });
    }

    private static double? Finite(double loss) => double.IsFinite(loss) ? loss : null;
}
