using Levain.Core;

namespace Levain.Training.Settings;

/// <summary>The <c>[log]</c> table: what is noted of each step.</summary>
public sealed record LogSettings
{
    /// <summary>Folder of the logs; null: <c>log</c> inside the output folder.</summary>
    public string? Folder { get; init; }

    /// <summary>What the name of a run's log folder begins with.</summary>
    public string Prefix { get; init; } = "";

    /// <summary>Name of the folder that TensorBoard's files of a run lie in; null: what kohya's trainer calls it.</summary>
    public string? Tracker { get; init; }

    /// <summary>Writes TensorBoard event files. Default true.</summary>
    public bool TensorBoard { get; init; } = true;

    /// <summary>Writes one JSON line for each step. Default true.</summary>
    public bool Json { get; init; } = true;

    /// <summary>Draws the loss curve at the end. Default true.</summary>
    public bool Plot { get; init; } = true;

    /// <summary>The folder's name for what is trained.</summary>
    public string TrackerOf(Trains trains) => Tracker ?? trains switch { Trains.Model => "finetuning", Trains.Embedding => "textual_inversion", _ => "network_train" };

    /// <summary>The table's keys.</summary>
    public static LogSettings Map(LogSettings log, TomlMap map) => log with
    {
        Folder = map.OptionalPath("folder", log.Folder),
        Prefix = map.Text("prefix", log.Prefix),
        Tracker = map.OptionalText("tracker", log.Tracker),
        TensorBoard = map.Flag("tensorboard", log.TensorBoard),
        Json = map.Flag("json", log.Json),
        Plot = map.Flag("plot", log.Plot),
    };
}
