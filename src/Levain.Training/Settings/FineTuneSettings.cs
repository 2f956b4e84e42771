using Levain.Core;

namespace Levain.Training.Settings;

/// <summary>The <c>[finetune]</c> table: how the whole model is trained, where <c>trains = "model"</c>.</summary>
public sealed record FineTuneSettings
{
    /// <summary>Trains the text encoder along with the U-Net. Default true, as in DreamBooth; kohya's <c>fine_tune.py</c> leaves it.</summary>
    public bool TextEncoder { get; init; } = true;

    /// <summary>The table's keys.</summary>
    public static FineTuneSettings Map(FineTuneSettings tuning, TomlMap map) => tuning with { TextEncoder = map.Flag("text_encoder", tuning.TextEncoder) };
}
