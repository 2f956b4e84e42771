using Levain.Training.Settings;

namespace Levain.Training.Kohya;

public static partial class KohyaArguments
{
    // train_db.py trains the text encoder unless it is told to stop before the first step; fine_tune.py only where it is asked to.
    private static FineTuneSettings FineTune(KohyaCommandLine line) => line.Trainer switch
    {
        KohyaTrainers.DreamBooth => new() { TextEncoder = line.Whole("stop_text_encoder_training") is null or >= 0 },
        KohyaTrainers.FineTune => new() { TextEncoder = line.Flag("train_text_encoder") },
        _ => new(),
    };

    private static EmbeddingSettings Embedding(KohyaCommandLine line) => line.Trainer is not KohyaTrainers.TextualInversion ? new() : new()
    {
        Token = line.Text("token_string"),
        Vectors = line.Whole("num_vectors_per_token") ?? 1,
        InitWords = line.Text("init_word"),
        Weights = FullPath(line.Text("weights")),
        Template = line.Flag("use_object_template") ? WordTemplate.Object : line.Flag("use_style_template") ? WordTemplate.Style : WordTemplate.None,
    };

    // Without a form, a whole model is saved as it was read; a single file then as .ckpt, unless --use_safetensors.
    private static ResultFormat Format(KohyaCommandLine line)
    {
        if (line.Trainer is KohyaTrainers.TextualInversion) return line.Text("save_model_as") switch { "safetensors" => ResultFormat.Safetensors, "ckpt" => ResultFormat.Ckpt, _ => ResultFormat.Pt };
        if (line.Trainer is KohyaTrainers.Network) return line.Text("save_model_as") switch { "ckpt" => ResultFormat.Ckpt, "pt" => ResultFormat.Pt, _ => ResultFormat.Auto };
        var safe = line.Flag("use_safetensors");
        return line.Text("save_model_as")?.ToLowerInvariant() switch
        {
            "safetensors" => ResultFormat.Safetensors,
            "ckpt" => safe ? ResultFormat.Safetensors : ResultFormat.Ckpt,
            "diffusers" => safe ? ResultFormat.Diffusers : ResultFormat.DiffusersBin,
            "diffusers_safetensors" => ResultFormat.Diffusers,
            { } other => safe || other.Contains("safetensors") ? ResultFormat.Diffusers : ResultFormat.DiffusersBin,      // of a config file, whatever it says
            _ when Directory.Exists(line.Text("pretrained_model_name_or_path")) => safe ? ResultFormat.Diffusers : ResultFormat.DiffusersBin,
            _ => safe ? ResultFormat.Safetensors : ResultFormat.Ckpt,
        };
    }
}
