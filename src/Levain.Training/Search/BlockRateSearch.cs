using Levain.Core;
using Levain.Networks;
using Levain.Training.Settings;

namespace Levain.Training;

/// <summary>
/// Which blocks of the U-Net want a higher or a lower learning rate than the others: the same few steps are made again and again, each time with one block's
/// rate raised or lowered, and judged by the pictures set aside with always the same noise. Whatever else a run draws is the same in all of them.
/// </summary>
/// <remarks>A search of our own, not one of kohya's. Steps are few and effects overlap, so what is proposed is tried as a whole at the end.</remarks>
public sealed class BlockRateSearch
{
    /// <summary>What a change must gain before it is proposed, as a share of what the steps gain by themselves.</summary>
    public const double LeastGain = 0.01;

    private const string OutputName = "block-rates", GroupName = "unet_block";

    private readonly RunSettings settings;

    /// <param name="settings">The run as it is written.</param>
    public BlockRateSearch(RunSettings settings) => this.settings = settings;

    /// <summary>Steps of each trial, 1 or more. Default 20.</summary>
    public int Steps { get; init; } = 20;

    /// <summary>What a block's rate is multiplied and divided by, above 1. Default 2.</summary>
    public double Factor { get; init; } = 2;

    /// <summary>Names of the blocks that are looked at (<c>IN04</c>); empty: all in which the network has adapters.</summary>
    public IReadOnlyList<string> Blocks { get; init; } = [];

    /// <summary>Adds what stands against a search to <paramref name="problems"/>; throws nothing.</summary>
    public void Check(Problems problems)
    {
        problems.Require(Steps >= 1, "--steps", $"is {Steps}.", "Use 1 or more; 20 is usual.");
        problems.Require(Factor > 1, "--factor", $"is {Factor}.", "Use a number above 1; 2 is usual.");
        problems.Require(settings.Trains is Trains.Network && settings.Network.Train is not TrainedPart.TextEncoder, "trains", "leaves the U-Net's blocks without adapters.", "Search with a network on the U-Net.");
        problems.Require(AdapterFamilies.All.FirstOrDefault(family => family.Name == settings.Network.Family) is not { Origin: AdapterOrigin.Lycoris }, "network.family", $"is {settings.Network.Family}, which has no rates for single blocks.", "Search with one of kohya's families, such as lora with conv_rank in place of locon.");
        problems.Require(settings.FilledDatasets.Any(dataset => dataset.ValidationSplit > 0), "dataset.validation_split", "is not given, so there are no pictures to judge by.", "Set dataset.validation_split = 0.1.");
        if (settings.Optimizer.Chosen is { } chosen)
            problems.Require(chosen.Rates is RateUse.Length && !settings.Optimizer.Options.MakesRates, "optimizer.type", $"is {chosen.Name}, which finds one step length for all parts.", "Search with AdamW8bit, and train with the weights it proposes only where rates are set by hand.");
    }

    /// <summary>The run that trials are made with: as written, with a rate for each block, a constant schedule, and nothing saved or drawn.</summary>
    /// <param name="folder">A folder that may be deleted afterwards.</param>
    public RunSettings Prepare(string folder)
    {
        var (ones, network) = (BlockCurve.Of([.. Enumerable.Repeat(1.0, BlockCurve.Side)]), settings.Network);
        return settings with
        {
            Network = network with { DownWeights = network.DownWeights ?? ones, MidWeight = network.MidWeight ?? BlockCurve.Of(1), UpWeights = network.UpWeights ?? ones },
            Schedule = new(),
            Training = settings.Training with { Steps = Steps, Epochs = null, LoaderWorkers = 0 },
            Validation = settings.Validation with { EverySteps = int.MaxValue, EveryEpochs = null, KeepBest = false, Patience = null },
            Output = new() { Folder = folder, Name = OutputName },
            Snapshots = new(),
            Samples = new(),
        };
    }

    /// <summary>Makes all trials.</summary>
    /// <param name="run">A run of what <see cref="Prepare"/> gave, ready for its first step.</param>
    /// <param name="done">Told after each trial: how many are done, and how many there are.</param>
    /// <param name="cancel">Looked at between two steps.</param>
    /// <exception cref="SettingsException">The network has adapters in none of <see cref="Blocks"/>.</exception>
    public BlockRateFinding Find(Run run, Action<int, int>? done = null, CancellationToken cancel = default)
    {
        var adapted = run.Trained.Groups.Select(group => BlockOf(group.Name)).OfType<int>().Distinct().ToList();
        var blocks = adapted.Where(block => Blocks.Count == 0 || Blocks.Contains(NameOf(block))).ToList();
        if (blocks.Count == 0) throw new SettingsException([new("--blocks", $"names {string.Join(' ', Blocks)}, where the network has no adapters.", $"It has some in {string.Join(' ', adapted.Select(NameOf))}.")]);
        var (made, all) = (0, 3 + 2 * blocks.Count);
        double make(int steps, Func<int, double> factor)
        {
            var loss = run.Try(steps, name => BlockOf(name) is { } block ? factor(block) : 1, cancel);
            done?.Invoke(++made, all);
            return loss;
        }
        var (start, common) = (make(0, _ => 1), make(Steps, _ => 1));
        var trials = blocks.Select(block => new BlockRateTrial(block, NameOf(block), make(Steps, other => other == block ? 1 / Factor : 1), make(Steps, other => other == block ? Factor : 1))).ToList();
        var proposed = trials.ToDictionary(trial => trial.Index, trial => trial.Propose(common, LeastGain * Math.Abs(start - common), Factor));
        var together = proposed.Values.All(factor => factor == 1) ? common : make(Steps, block => proposed.GetValueOrDefault(block, 1));
        var before = (settings.Network.ToOptions(wholeAlpha: false, settings.Compat).BlockRates ?? new()).Weights;
        return new(start, common, together, trials, [.. before.Select((weight, block) => Math.Round(weight * proposed.GetValueOrDefault(block, 1), 4))]);
    }

    private static string NameOf(int block) => BlockNames.All[1 + block];

    private static int? BlockOf(string group) =>
        group.StartsWith(GroupName, StringComparison.Ordinal) && int.TryParse(group[GroupName.Length..].Split(' ')[0], out var block) ? block : null;
}

/// <summary>What came of changing one block's learning rate.</summary>
/// <param name="Index">The block, 0 to 24.</param>
/// <param name="Block">Its name: <c>IN04</c>.</param>
/// <param name="Lowered">Loss with the rate lowered.</param>
/// <param name="Raised">Loss with the rate raised.</param>
public sealed record BlockRateTrial(int Index, string Block, double Lowered, double Raised)
{
    /// <summary>The factor to be proposed: the best of lowered, raised and as it is.</summary>
    internal double Propose(double common, double least, double factor)
    {
        if (!(Math.Min(Lowered, Raised) < common - least)) return 1;
        return Raised < Lowered ? factor : 1 / factor;
    }
}

/// <summary>What a search for block-wise learning rates found.</summary>
/// <param name="Start">Loss before the first step.</param>
/// <param name="Common">Loss after the steps with rates as they are.</param>
/// <param name="Together">Loss with everything proposed at once.</param>
/// <param name="Trials">Each block, in the U-Net's order.</param>
/// <param name="Weights">The 25 weights proposed, IN00 first.</param>
public sealed record BlockRateFinding(double Start, double Common, double Together, IReadOnlyList<BlockRateTrial> Trials, IReadOnlyList<double> Weights)
{
    /// <summary>Whether the proposal as a whole is better than the rates as they are.</summary>
    public bool Helps => Together < Common;

    /// <summary>The proposal as lines of a run file.</summary>
    public string ToToml()
    {
        static string list(IEnumerable<double> numbers) => $"[{string.Join(", ", numbers.Select(number => number.ToString("0.0###", System.Globalization.CultureInfo.InvariantCulture)))}]";
        return $"[network]\ndown_weights = {list(Weights.Take(BlockCurve.Side))}\nmid_weight = {list(Weights.Skip(BlockCurve.Side).Take(1))[1..^1]}\nup_weights = {list(Weights.Skip(BlockCurve.Side + 1))}";
    }

    /// <summary>A loss as a share of what the steps gain by themselves: 0 for no difference, 0.1 for a tenth more gained, −0.1 for a tenth less.</summary>
    public double Gain(double loss) => (Common - loss) / Math.Max(Math.Abs(Start - Common), double.Epsilon);
}
