using static Levain.Training.Kohya.OptionKind;

namespace Levain.Training.Kohya;

public static partial class KohyaOptions
{
    // Options that not every trainer has; all others are everyone's.
    private static KohyaTrainers Of(string name) => name switch
    {
        "no_metadata" or "unet_lr" or "text_encoder_lr" or "fp8_base_unet" or "training_comment" or "dim_from_weights" or "scale_weight_norms"
            or "base_weights" or "base_weights_multiplier" or "skip_until_initial_step" or "initial_epoch" or "initial_step" or "cpu_offload_checkpointing"
            or "save_model_as"
            or "validation_seed" or "validation_split" or "validate_every_n_steps" or "validate_every_n_epochs" or "max_validation_steps" => KohyaTrainers.Network,
        _ when name.StartsWith("network_", StringComparison.Ordinal) => KohyaTrainers.Network,
        "reg_data_dir" or "prior_loss_weight" or "masked_loss" or "conditioning_data_dir" => KohyaTrainers.All & ~KohyaTrainers.FineTune,
        "in_json" or "dataset_repeats" => KohyaTrainers.All & ~KohyaTrainers.DreamBooth,
        "caption_dropout_rate" or "caption_dropout_every_n_epochs" or "caption_tag_dropout_rate" or "weighted_captions" => KohyaTrainers.All & ~KohyaTrainers.TextualInversion,
        "v_pred_like_loss" => KohyaTrainers.Network | KohyaTrainers.TextualInversion,
        _ => KohyaTrainers.All,
    };

    // Options that train_network.py has not, or has with other values.
    private static KohyaOption[] Others() =>
    [
        One("save_model_as", Text, "output.format", null, "ckpt", "safetensors", "diffusers", "diffusers_safetensors") with { Of = WholeModel },
        To("use_safetensors", Flag, "output.format = \"safetensors\"") with { Of = WholeModel },
        To("learning_rate_te", Number, "optimizer.text_encoder_learning_rate") with { Of = WholeModel },
        Idle("no_token_padding", Flag, "It has no effect in kohya either: captions are always padded.") with { Of = KohyaTrainers.DreamBooth },
        To("stop_text_encoder_training", Whole, "optimizer.text_encoder_stop") with { Of = KohyaTrainers.DreamBooth },
        To("train_text_encoder", Flag, "finetune.text_encoder") with { Of = KohyaTrainers.FineTune },
        Idle("diffusers_xformers", Flag, "Attention is always computed in the frugal way.") with { Of = KohyaTrainers.FineTune },
        Idle("v_pred_like_loss", Number, "It has no effect in kohya either: train_db.py and fine_tune.py never look at it.") with { Of = WholeModel },
        One("save_model_as", Text, "output.format", "pt", "ckpt", "pt", "safetensors") with { Of = KohyaTrainers.TextualInversion },
        To("token_string", Text, "embedding.token") with { Of = KohyaTrainers.TextualInversion },
        To("num_vectors_per_token", Whole, "embedding.vectors", 1L) with { Of = KohyaTrainers.TextualInversion },
        To("init_word", Text, "embedding.init_words") with { Of = KohyaTrainers.TextualInversion },
        To("weights", Text, "embedding.weights") with { Of = KohyaTrainers.TextualInversion },
        To("use_object_template", Flag, "embedding.template = \"object\"") with { Of = KohyaTrainers.TextualInversion },
        To("use_style_template", Flag, "embedding.template = \"style\"") with { Of = KohyaTrainers.TextualInversion },
    ];

    private const KohyaTrainers WholeModel = KohyaTrainers.DreamBooth | KohyaTrainers.FineTune;
}
