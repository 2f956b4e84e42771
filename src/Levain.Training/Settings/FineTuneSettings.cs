using Levain.Core;

namespace Levain.Training.Settings;

/// <summary>The <c>[finetune]</c> table: how the whole model is trained, where <c>trains = "model"</c>.</summary>
public sealed record FineTuneSettings
{
    /// <summary>Trains the text encoder along with the U-Net. Default true, as in DreamBooth; kohya's <c>fine_tune.py</c> leaves it.</summary>
    public bool TextEncoder { get; init; } = true;

    /// <summary>Steps after which the text encoder is trained no more; null: it is trained to the end.</summary>
    public int? TextEncoderSteps { get; init; }

    /// <summary>The table's keys.</summary>
    public static FineTuneSettings Map(FineTuneSettings tuning, TomlMap map) => tuning with
    {
        TextEncoder = map.Flag("text_encoder", tuning.TextEncoder),
        TextEncoderSteps = map.OptionalWhole("text_encoder_steps", tuning.TextEncoderSteps),
    };

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    /// <param name="kohya">Whether kohya's mistakes are repeated.</param>
    public void Check(Problems problems, bool kohya)
    {
        problems.Require(TextEncoderSteps is null or >= 0, "text_encoder_steps", $"is {TextEncoderSteps}.", "Use 1 or more, or text_encoder = false to leave the text encoder as it is.");
        // K-32
        problems.Require(!(kohya && TextEncoder && TextEncoderSteps is not null), "text_encoder_steps", $"is {TextEncoderSteps}, at which kohya's train_db.py stops on an exception (K-32).",
            "Leave it out, or set compat = \"sound\" (levain kohya --sound), where the text encoder rests from then on.");
    }
}
