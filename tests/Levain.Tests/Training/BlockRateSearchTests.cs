using Levain.Core;
using Levain.Models;
using Levain.Tests.Data;
using Levain.Training;
using Levain.Training.Planning;
using Levain.Training.Settings;
using Levain.Training.Watching;
using Xunit;

namespace Levain.Tests.Training;

/// <summary>The search for block-wise learning rates: its trials are the runs that a run file would make.</summary>
public sealed class BlockRateSearchTests
{
    [Fact]
    public void A_trial_is_the_run_with_that_blocks_rate_and_the_proposal_is_the_best_of_three()
    {
        using var folder = new TemporaryFolder();
        var settings = Settings(folder);
        var search = new BlockRateSearch(settings) { Steps = 2, Factor = 4, Blocks = ["IN01", "OUT11"] };
        var (first, again) = Find(search, folder);
        Assert.Equal((first.Start, first.Common, first.Together), (again.Start, again.Common, again.Together));
        Assert.Equal(first.Trials, again.Trials);
        Assert.Equal(["IN01", "OUT11"], first.Trials.Select(trial => trial.Block));

        double[] raised = [.. Enumerable.Range(0, 12).Select(block => block == 11 ? 4.0 : 1)];
        Assert.Equal(Loss(settings with { Network = settings.Network with { UpWeights = BlockCurve.Of(raised) } }), first.Trials[1].Raised);
        Assert.Equal(Loss(settings), first.Common);
        Assert.Equal(Loss(settings with { Optimizer = settings.Optimizer with { LearningRate = 0 } }), first.Start);

        var (problems, proposed) = (new Problems(), RunSettings.Parse(first.ToToml(), "found.toml", folder.Path));
        Assert.Empty(proposed.Problems.All);
        proposed.Settings.Network.Check(problems);
        Assert.Empty(problems.All);
        Assert.Equal(first.Weights, [.. proposed.Settings.Network.DownWeights!.Numbers!, .. proposed.Settings.Network.MidWeight!.Numbers!, .. proposed.Settings.Network.UpWeights!.Numbers!]);
        Assert.All(first.Weights.Index().Where(weight => weight.Index is not (1 or 24)), weight => Assert.Equal(1, weight.Item));

        var picture = Path.Combine(folder.Path, "rates.png");
        BlockRatePlot.Write(picture, first, search.Factor);
        Assert.Equal((1000, 560), PngHeader.Read(picture) is { } png ? (png.Width, png.Height) : default);
    }

    [Theory]
    [InlineData(0.8, 0.9, 0.5)]
    [InlineData(0.9, 0.8, 2.0)]
    [InlineData(1.1, 1.2, 1.0)]
    [InlineData(0.999, 1.2, 1.0)]               // too little to be more than chance
    [InlineData(0.9, double.PositiveInfinity, 0.5)]
    public void What_gains_most_and_enough_is_proposed(double lowered, double raised, double factor) =>
        Assert.Equal(factor, new BlockRateTrial(4, "IN04", lowered, raised).Propose(common: 1, least: 0.01, factor: 2));

    [Fact]
    public void What_cannot_be_searched_is_told_together()
    {
        var problems = new Problems();
        new BlockRateSearch(new() { Optimizer = new() { Type = "Prodigy" }, Network = new() { Family = "loha" } }) { Steps = 0, Factor = 1 }.Check(problems);
        Assert.Equal(["--steps", "--factor", "network.family", "dataset.validation_split", "optimizer.type"], problems.All.Select(problem => problem.Where));
    }

    [Fact]
    public void Blocks_without_adapters_are_told_before_any_trial()
    {
        using var folder = new TemporaryFolder();
        var search = new BlockRateSearch(Settings(folder)) { Steps = 2, Blocks = ["BASE", "IN00"] };
        Assert.StartsWith("--blocks: names BASE IN00, where the network has no adapters. It has some in IN01 ", Assert.Throws<SettingsException>(() => Find(search, folder)).Message);
    }

    private static RunSettings Settings(TemporaryFolder folder)
    {
        var settings = SmallRun.Settings(folder);
        return settings with { Dataset = settings.Dataset with { ValidationSplit = 0.34 }, Training = settings.Training with { Steps = 2 }, Validation = new() { EverySteps = 2 } };
    }

    private static double Loss(RunSettings settings) => SmallRun.Make(settings).Events.OfType<Validated>().Last().Loss;

    private static (BlockRateFinding, BlockRateFinding) Find(BlockRateSearch search, TemporaryFolder folder)
    {
        var settings = search.Prepare(folder.Path);
        var problems = new Problems();
        search.Check(problems);
        using var random = new RunRandom(settings.Training.Seed!.Value);
        var plan = RunPlan.Make(settings, problems, random.Python) ?? throw new InvalidOperationException(string.Join(Environment.NewLine, problems.All));
        using var model = StableDiffusion.Open(settings.Model.Base!, Compute.Cpu);
        using var run = new Run(plan, random, model);
        return (search.Find(run), search.Find(run));
    }
}
