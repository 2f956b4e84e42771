using Levain.Core;

namespace Levain.Training.Settings;

/// <summary>The <c>[snapshots]</c> table: what is kept to go on from after a stop.</summary>
public sealed record SnapshotSettings
{
    /// <summary>A snapshot after every n-th step; null: none by step.</summary>
    public int? EverySteps { get; init; }

    /// <summary>A snapshot after every n-th epoch; null: none by epoch.</summary>
    public int? EveryEpochs { get; init; }

    /// <summary>A snapshot beside every network file saved on the way, and one at the end. Default false.</summary>
    public bool WithSaves { get; init; }

    /// <summary>A snapshot at the end of the run, to train on from. Default false.</summary>
    public bool AtEnd { get; init; }

    /// <summary>Newest snapshots kept; older ones are deleted. Default 2.</summary>
    public int Keep { get; init; } = 2;

    /// <summary>The table's keys.</summary>
    public static SnapshotSettings Map(SnapshotSettings snapshots, TomlMap map) => snapshots with
    {
        EverySteps = map.OptionalWhole("every_steps", snapshots.EverySteps),
        EveryEpochs = map.OptionalWhole("every_epochs", snapshots.EveryEpochs),
        WithSaves = map.Flag("with_saves", snapshots.WithSaves),
        AtEnd = map.Flag("at_end", snapshots.AtEnd),
        Keep = map.Whole("keep", snapshots.Keep),
    };

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    public void Check(Problems problems)
    {
        OutputSettings.Every(problems, "every_steps", EverySteps);
        OutputSettings.Every(problems, "every_epochs", EveryEpochs);
        problems.Require(Keep >= 1, "keep", $"is {Keep}.", "Use 1 or more; 2 survives a stop while a snapshot is written.");
    }
}
