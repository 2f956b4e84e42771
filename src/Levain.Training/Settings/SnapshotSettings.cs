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

    /// <summary>Deletes the snapshot beside a file saved by step when it is more than so many steps old, as <see cref="OutputSettings.KeepLastSteps"/> does with files; null: <see cref="Keep"/> alone decides.</summary>
    public int? KeepLastSteps { get; init; }

    /// <summary>Deletes the snapshot beside a file saved by epoch when it is so many saves old, as <see cref="OutputSettings.KeepLastEpochs"/> does with files; null: <see cref="Keep"/> alone decides.</summary>
    public int? KeepLastEpochs { get; init; }

    /// <summary>Goes on from this snapshot in kohya's way, with its mistakes: steps are counted anew and pictures come in another order. Only with <c>compat = "kohya"</c>; <c>--resume</c> goes on as if there had been no stop.</summary>
    public string? KohyaResume { get; init; }

    /// <summary>Passes over the batches that count as done (kohya's <c>--skip_until_initial_step</c>). Default false.</summary>
    public bool SkipDone { get; init; }

    /// <summary>Steps that count as done in kohya's way of going on; null: those of the snapshot.</summary>
    public int? InitialStep { get; init; }

    /// <summary>Epoch, from 1, that kohya's way of going on begins with, where <see cref="InitialStep"/> is not given.</summary>
    public int? InitialEpoch { get; init; }

    /// <summary>The table's keys.</summary>
    public static SnapshotSettings Map(SnapshotSettings snapshots, TomlMap map) => snapshots with
    {
        EverySteps = map.OptionalWhole("every_steps", snapshots.EverySteps),
        EveryEpochs = map.OptionalWhole("every_epochs", snapshots.EveryEpochs),
        WithSaves = map.Flag("with_saves", snapshots.WithSaves),
        AtEnd = map.Flag("at_end", snapshots.AtEnd),
        Keep = map.Whole("keep", snapshots.Keep),
        KeepLastSteps = map.OptionalWhole("keep_last_steps", snapshots.KeepLastSteps),
        KeepLastEpochs = map.OptionalWhole("keep_last_epochs", snapshots.KeepLastEpochs),
        KohyaResume = map.OptionalPath("kohya_resume", snapshots.KohyaResume),
        SkipDone = map.Flag("skip_done", snapshots.SkipDone),
        InitialStep = map.OptionalWhole("initial_step", snapshots.InitialStep),
        InitialEpoch = map.OptionalWhole("initial_epoch", snapshots.InitialEpoch),
    };

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    /// <param name="kohya">Whether kohya's mistakes are repeated.</param>
    public void Check(Problems problems, bool kohya)
    {
        const string way = "is kohya's way of going on, which repeats and skips pictures.";
        problems.Require(kohya || KohyaResume is null, "kohya_resume", way, "Start with --resume to go on as if there had been no stop.");
        problems.Require(kohya || !SkipDone, "skip_done", way, "Start with --resume to go on as if there had been no stop.");
        problems.Require(kohya || InitialStep is null, "initial_step", way, "Start with --resume to go on as if there had been no stop.");
        problems.Require(kohya || InitialEpoch is null, "initial_epoch", way, "Start with --resume to go on as if there had been no stop.");
        problems.Require(InitialStep is null or >= 0, "initial_step", $"is {InitialStep}.", "Use 0 or more.");
        OutputSettings.Every(problems, "initial_epoch", InitialEpoch);
        OutputSettings.Every(problems, "every_steps", EverySteps);
        OutputSettings.Every(problems, "every_epochs", EveryEpochs);
        OutputSettings.Every(problems, "keep_last_steps", KeepLastSteps);
        OutputSettings.Every(problems, "keep_last_epochs", KeepLastEpochs);
        problems.Require(Keep >= 1, "keep", $"is {Keep}.", "Use 1 or more; 2 survives a stop while a snapshot is written.");
    }
}
