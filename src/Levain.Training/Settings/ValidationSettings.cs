using Levain.Core;

namespace Levain.Training.Settings;

/// <summary>The <c>[validation]</c> table: the loss of pictures that are set aside (<c>dataset.validation_split</c>), always with the same noise.</summary>
public sealed record ValidationSettings
{
    /// <summary>Judges after every n-th step; null: not by step.</summary>
    public int? EverySteps { get; init; }

    /// <summary>Judges after every n-th epoch; null: after every one, unless <see cref="EverySteps"/> is given.</summary>
    public int? EveryEpochs { get; init; }

    /// <summary>Batches of a pass at most; null: all that are set aside.</summary>
    public int? MaxBatches { get; init; }

    /// <summary>Seed of the noise; null: the run's seed.</summary>
    public long? Seed { get; init; }

    /// <summary>Writes the network with the lowest loss so far to <c>NAME-best.safetensors</c>. Default false.</summary>
    public bool KeepBest { get; init; }

    /// <summary>Ends the run after this many judgements without a lower loss; null: never.</summary>
    public int? Patience { get; init; }

    /// <summary>The table's keys.</summary>
    public static ValidationSettings Map(ValidationSettings validation, TomlMap map) => validation with
    {
        EverySteps = map.OptionalWhole("every_steps", validation.EverySteps),
        EveryEpochs = map.OptionalWhole("every_epochs", validation.EveryEpochs),
        MaxBatches = map.OptionalWhole("max_batches", validation.MaxBatches),
        Seed = map.OptionalLong("seed", validation.Seed),
        KeepBest = map.Flag("keep_best", validation.KeepBest),
        Patience = map.OptionalWhole("patience", validation.Patience),
    };

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    /// <param name="split">Whether any dataset sets pictures aside.</param>
    public void Check(Problems problems, bool split)
    {
        OutputSettings.Every(problems, "every_steps", EverySteps);
        OutputSettings.Every(problems, "every_epochs", EveryEpochs);
        OutputSettings.Every(problems, "max_batches", MaxBatches);
        OutputSettings.Every(problems, "patience", Patience);
        problems.Require(Seed is null or >= 0 and <= uint.MaxValue, "seed", $"is {Seed}.", "Use 0 to 4294967295.");
        problems.Require(split || !KeepBest, "keep_best", "is true, but no picture is set aside to judge by.", "Set dataset.validation_split = 0.1.");
        problems.Require(split || Patience is null, "patience", $"is {Patience}, but no picture is set aside to judge by.", "Set dataset.validation_split = 0.1.");
    }
}
