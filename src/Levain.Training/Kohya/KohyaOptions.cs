using static Levain.Training.Kohya.OptionKind;

namespace Levain.Training.Kohya;

/// <summary>Every option of kohya's trainers for SD 1.x and what becomes of it; docs/kohya-options.md is printed from this list.</summary>
/// <remarks>kohya-ss/sd-scripts 48d368f: the four trainers, <c>library/train_util.py</c> and the argument groups they add.</remarks>
public static partial class KohyaOptions
{
    private const string Later = "Not in this version.";
    private const string OneProcess = "Levain trains in one process.";
    private const string Upload = "Upload the finished file yourself: Levain never sends anything anywhere.";
    private const string Unsent = "Levain never sends anything anywhere.";
    private const string OwnSnapshots = "Levain goes on from its own snapshots: levain train run.toml --resume.";

    /// <summary>All of them, by group.</summary>
    public static IReadOnlyList<KohyaOption> All { get; } = [.. Shared().Select(option => option with { Of = Of(option.Name) }), .. Others()];

    private static KohyaOption[] Shared() =>
    [
        // Model
        To("pretrained_model_name_or_path", Text, "model.base"),
        No("v2", Flag, "SD 2.x is not trained by this version; use an SD 1.x base."),
        To("v_parameterization", Flag, "model.v_parameterization"),
        To("vae", Text, "model.vae"),
        Idle("tokenizer_cache_dir", Text, "The tokenizer is built in."),
        To("no_half_vae", Flag, "model.wide_vae"),
        Idle("lowram", Flag, "Weights are loaded straight to where they are used."),
        Idle("highvram", Flag, "Nothing is moved to and fro."),

        // Network
        To("network_module", Text, "network.family"),
        To("network_dim", Whole, "network.rank"),
        To("network_alpha", Number, "network.alpha", 1L),
        To("network_dropout", Number, "network.dropout"),
        To("network_args", Texts, "network.conv_rank, conv_alpha, rank_dropout, …"),
        To("network_weights", Text, "network.weights"),
        To("dim_from_weights", Flag, "network.rank_from_weights"),
        To("network_train_unet_only", Flag, "network.train = \"unet\""),
        To("network_train_text_encoder_only", Flag, "network.train = \"text_encoder\""),
        To("base_weights", Texts, "model.networks.file"),
        To("base_weights_multiplier", Numbers, "model.networks.strength"),
        To("scale_weight_norms", Number, "network.max_norm"),
        To("training_comment", Text, "output.comment"),
        To("unet_lr", Number, "optimizer.unet_learning_rate"),
        To("text_encoder_lr", Numbers, "optimizer.text_encoder_learning_rate"),
        No("fp8_base", Flag, "8-bit base weights are " + Lower(Later) + " Use --mixed_precision bf16 or memory = \"lean\"."),
        No("fp8_base_unet", Flag, "8-bit base weights are " + Lower(Later) + " Use --mixed_precision bf16 or memory = \"lean\"."),

        // Output
        To("output_dir", Text, "output.folder"),
        To("output_name", Text, "output.name"),
        One("save_model_as", Text, "output.format", "safetensors", "safetensors", "ckpt", "pt"),
        One("save_precision", Text, "output.precision", null, "float", "fp16", "bf16"),
        To("save_every_n_epochs", Whole, "output.save_every_epochs"),
        To("save_every_n_steps", Whole, "output.save_every_steps"),
        To("save_n_epoch_ratio", Whole, "output.save_epoch_ratio"),
        To("save_last_n_epochs", Whole, "output.keep_last_epochs"),
        To("save_last_n_steps", Whole, "output.keep_last_steps"),
        To("save_last_n_epochs_state", Whole, "snapshots.keep_last_epochs"),
        To("save_last_n_steps_state", Whole, "snapshots.keep_last_steps"),
        To("save_state", Flag, "snapshots.with_saves"),
        To("save_state_on_train_end", Flag, "snapshots.at_end"),
        To("resume", Text, "snapshots.kohya_resume"),
        To("initial_epoch", Whole, "snapshots.initial_epoch"),
        To("initial_step", Whole, "snapshots.initial_step"),
        To("skip_until_initial_step", Flag, "snapshots.skip_done"),
        To("no_metadata", Flag, "output.metadata = false"),
        No("huggingface_repo_id", Text, Upload),
        Idle("huggingface_repo_type", Text, Unsent),
        Idle("huggingface_path_in_repo", Text, Unsent),
        Idle("huggingface_token", Text, Unsent),
        Idle("huggingface_repo_visibility", Text, Unsent),
        No("save_state_to_huggingface", Flag, Upload),
        No("resume_from_huggingface", Flag, OwnSnapshots),
        Idle("async_upload", Flag, Unsent),
        To("metadata_title", Text, "output.title"),
        To("metadata_author", Text, "output.author"),
        To("metadata_description", Text, "output.description"),
        To("metadata_license", Text, "output.license"),
        To("metadata_tags", Text, "output.tags"),
        To("metadata_usage_hint", Text, "output.usage_hint"),
        To("metadata_thumbnail", Text, "output.thumbnail"),
        To("metadata_merged_from", Text, "output.merged_from"),
        To("metadata_trigger_phrase", Text, "output.trigger_phrase"),
        To("metadata_preprocessor", Text, "output.preprocessor"),
        To("metadata_is_negative_embedding", Text, "output.is_negative_embedding"),

        // Steps and arithmetic
        To("train_batch_size", Whole, "training.batch_size", 1L),
        To("max_train_steps", Whole, "training.steps", 1600L),
        To("max_train_epochs", Whole, "training.epochs"),
        To("gradient_accumulation_steps", Whole, "training.gradient_accumulation", 1L),
        To("max_grad_norm", Number, "optimizer.max_grad_norm", 1.0),
        One("mixed_precision", Text, "training.precision", "no", "no", "fp16", "bf16"),
        No("full_fp16", Flag, "Adapters are always trained in 32 bits; use --mixed_precision fp16."),
        No("full_bf16", Flag, "Adapters are always trained in 32 bits; use --mixed_precision bf16."),
        To("gradient_checkpointing", Flag, "training.memory = \"lean\""),
        Idle("cpu_offload_checkpointing", Flag, "memory = \"lean\" recomputes instead."),
        Idle("mem_eff_attn", Flag, "Attention is always computed in the frugal way."),
        Idle("xformers", Flag, "Attention is always computed in the frugal way."),
        Idle("sdpa", Flag, "Attention is always computed in the frugal way."),
        Idle("torch_compile", Flag, "There is nothing to compile."),
        Idle("dynamo_backend", Text, "There is nothing to compile.", "inductor") with
        {
            Choices = ["eager", "aot_eager", "inductor", "aot_ts_nvfuser", "nvprims_nvfuser", "cudagraphs", "ofi", "fx2trt", "onnxrt", "tensort", "ipex", "tvm"],
        },
        To("seed", Whole, "training.seed"),
        To("max_data_loader_n_workers", Whole, "training.loader_workers", 8L),
        To("persistent_data_loader_workers", Flag, "training.persistent_workers"),
        To("clip_skip", Whole, "model.clip_skip"),
        One("max_token_length", Whole, "model.max_token_length", null, "150", "225"),
        To("weighted_captions", Flag, "model.weighted_captions"),
        Idle("ddp_timeout", Whole, OneProcess),
        Idle("ddp_gradient_as_bucket_view", Flag, OneProcess),
        Idle("ddp_static_graph", Flag, OneProcess),
        No("deepspeed", Flag, OneProcess),
        Idle("zero_stage", Whole, OneProcess, 2L) with { Choices = ["0", "1", "2", "3"] },
        Idle("offload_optimizer_device", Text, OneProcess) with { Choices = ["cpu", "nvme"] },
        Idle("offload_optimizer_nvme_path", Text, OneProcess),
        Idle("offload_param_device", Text, OneProcess) with { Choices = ["cpu", "nvme"] },
        Idle("offload_param_nvme_path", Text, OneProcess),
        Idle("zero3_init_flag", Flag, OneProcess),
        Idle("zero3_save_16bit_model", Flag, OneProcess),
        Idle("fp16_master_weights_and_gradients", Flag, OneProcess),

        // Pictures
        To("train_data_dir", Text, "dataset.folder"),
        To("reg_data_dir", Text, "dataset.reg_folder"),
        To("in_json", Text, "dataset.metadata_file"),
        To("dataset_config", Text, "[general], [[datasets]]"),
        No("dataset_class", Text, "Pictures come from folders; leave it out."),
        To("dataset_repeats", Whole, "dataset.num_repeats", 1L),
        To("resolution", Text, "dataset.resolution"),
        To("enable_bucket", Flag, "dataset.enable_bucket"),
        To("min_bucket_reso", Whole, "dataset.min_bucket_reso", 256L),
        To("max_bucket_reso", Whole, "dataset.max_bucket_reso", 1024L),
        To("bucket_reso_steps", Whole, "dataset.bucket_reso_steps", 64L),
        To("bucket_no_upscale", Flag, "dataset.bucket_no_upscale"),
        One("resize_interpolation", Text, "dataset.resize_interpolation", null, "lanczos", "nearest", "bilinear", "linear", "bicubic", "cubic", "area"),
        To("cache_latents", Flag, "cache.latents = \"memory\""),
        To("cache_latents_to_disk", Flag, "cache.latents = \"disk\""),
        To("vae_batch_size", Whole, "cache.vae_batch_size", 1L),
        Idle("skip_cache_check", Flag, "A cached latent is always checked against its picture: it costs nothing."),
        To("caption_extension", Text, "dataset.caption_extension", ".caption"),
        To("caption_extention", Text, "dataset.caption_extension"),
        To("shuffle_caption", Flag, "dataset.shuffle_caption"),
        To("enable_wildcard", Flag, "dataset.enable_wildcard"),
        To("caption_separator", Text, "dataset.caption_separator", ","),
        To("keep_tokens", Whole, "dataset.keep_tokens", 0L),
        To("keep_tokens_separator", Text, "dataset.keep_tokens_separator", ""),
        To("secondary_separator", Text, "dataset.secondary_separator"),
        To("caption_prefix", Text, "dataset.caption_prefix"),
        To("caption_suffix", Text, "dataset.caption_suffix"),
        To("caption_dropout_rate", Number, "dataset.caption_dropout_rate", 0.0),
        To("caption_dropout_every_n_epochs", Whole, "dataset.caption_dropout_every_n_epochs", 0L),
        To("caption_tag_dropout_rate", Number, "dataset.caption_tag_dropout_rate", 0.0),
        To("token_warmup_min", Whole, "dataset.token_warmup_min", 1L),
        To("token_warmup_step", Number, "dataset.token_warmup_step", 0.0),
        To("color_aug", Flag, "dataset.color_aug"),
        To("flip_aug", Flag, "dataset.flip_aug"),
        To("random_crop", Flag, "dataset.random_crop"),
        To("face_crop_aug_range", Text, "dataset.face_crop_aug_range"),
        To("alpha_mask", Flag, "dataset.alpha_mask"),
        To("masked_loss", Flag, "datasets.subsets.conditioning_data_dir"),
        Idle("conditioning_data_dir", Text, "kohya reads masks only from a dataset file: name conditioning_data_dir in its subsets."),
        To("prior_loss_weight", Number, "loss.prior_weight", 1.0),
        Idle("cache_info", Flag, "Headers and captions are read anew in a moment, and so are never stale."),
        No("debug_dataset", Flag, "levain check shows what a run would do."),
        To("validation_seed", Whole, "dataset.validation_seed, validation.seed"),
        To("validation_split", Number, "dataset.validation_split", 0.0),
        To("validate_every_n_steps", Whole, "validation.every_steps"),
        To("validate_every_n_epochs", Whole, "validation.every_epochs"),
        To("max_validation_steps", Whole, "validation.max_batches"),

        // Noise and loss
        To("noise_offset", Number, "noise.offset"),
        To("noise_offset_random_strength", Flag, "noise.offset_random_strength"),
        To("adaptive_noise_scale", Number, "noise.adaptive_scale"),
        To("multires_noise_iterations", Whole, "noise.multires_iterations"),
        To("multires_noise_discount", Number, "noise.multires_discount", 0.3),
        To("ip_noise_gamma", Number, "noise.input_perturbation"),
        To("ip_noise_gamma_random_strength", Flag, "noise.input_perturbation_random_strength"),
        To("min_timestep", Whole, "noise.min_timestep"),
        To("max_timestep", Whole, "noise.max_timestep"),
        To("zero_terminal_snr", Flag, "noise.zero_terminal_snr"),
        To("min_snr_gamma", Number, "loss.min_snr_gamma"),
        To("scale_v_pred_loss_like_noise_pred", Flag, "loss.scale_v_like_noise"),
        To("v_pred_like_loss", Number, "loss.v_pred_like"),
        To("debiased_estimation_loss", Flag, "loss.debiased_estimation"),
        One("loss_type", Text, "loss.type", "l2", "l1", "l2", "huber", "smooth_l1"),
        One("huber_schedule", Text, "loss.huber_schedule", "snr", "constant", "exponential", "snr"),
        To("huber_c", Number, "loss.huber_c", 0.1),
        To("huber_scale", Number, "loss.huber_scale", 1.0),

        // Optimizer and learning rate
        To("optimizer_type", Text, "optimizer.type", ""),
        To("use_8bit_adam", Flag, "optimizer.type = \"AdamW8bit\""),
        To("use_lion_optimizer", Flag, "optimizer.type = \"Lion\""),
        To("optimizer_args", Texts, "further keys of [optimizer], the same names"),
        To("learning_rate", Number, "optimizer.learning_rate", 2e-6),
        To("lr_scheduler", Text, "schedule.type", "constant"),
        To("lr_scheduler_type", Text, "schedule.torch", ""),
        To("lr_scheduler_args", Texts, "schedule.step_rules, waves, end_rate, … or the keys of schedule.torch"),
        To("lr_warmup_steps", StepsOrShare, "schedule.warmup"),
        To("lr_decay_steps", StepsOrShare, "schedule.decay"),
        To("lr_scheduler_num_cycles", Whole, "schedule.cycles", 1L),
        To("lr_scheduler_power", Number, "schedule.power", 1.0),
        To("lr_scheduler_timescale", Whole, "schedule.timescale"),
        To("lr_scheduler_min_lr_ratio", Number, "schedule.min_ratio"),
        Idle("fused_backward_pass", Flag, "It has no effect in these trainers; kohya takes it with AdaFactor alone, and not with accumulated gradients."),

        // Sample pictures and logs
        To("sample_every_n_steps", Whole, "samples.every_steps"),
        To("sample_every_n_epochs", Whole, "samples.every_epochs"),
        To("sample_at_first", Flag, "samples.at_first"),
        To("sample_prompts", Text, "samples.prompts"),
        One("sample_sampler", Text, "samples.sampler", "ddim", "ddim", "pndm", "lms", "euler", "euler_a", "heun", "dpm_2", "dpm_2_a", "dpmsolver", "dpmsolver++",
            "dpmsingle", "k_lms", "k_euler", "k_euler_a", "k_dpm_2", "k_dpm_2_a"),
        To("logging_dir", Text, "log.folder"),
        To("log_prefix", Text, "log.prefix"),
        One("log_with", Text, "log.tensorboard", null, "tensorboard", "wandb", "all"),
        To("log_tracker_name", Text, "log.tracker"),
        Idle("log_tracker_config", Text, "There is nothing to configure."),
        Idle("wandb_run_name", Text, Unsent),
        Idle("wandb_api_key", Text, Unsent),
        Idle("log_config", Flag, "The run file lies beside its result."),
        Idle("console_log_level", Text, "Levain prints what matters.") with { Choices = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] },
        Idle("console_log_file", Text, "Redirect standard error instead."),
        Idle("console_log_simple", Flag, "Redirect standard error instead."),
        To("config_file", Text, "(read as if its lines stood here)"),
        To("output_config", Flag, "(writes --config_file and ends)"),
    ];

    private static readonly ILookup<string, KohyaOption> byName = All.ToLookup(option => option.Name);

    /// <summary>The option that a trainer calls <paramref name="name"/> (without dashes), or null.</summary>
    public static KohyaOption? Find(string name, KohyaTrainers trainer) => byName[name].FirstOrDefault(option => option.Of.HasFlag(trainer));

    private static KohyaOption To(string name, OptionKind kind, string setting, object? otherwise = null) => new(name, kind, OptionStanding.Supported, setting, otherwise);

    private static KohyaOption One(string name, OptionKind kind, string setting, object? otherwise, params string[] choices) => To(name, kind, setting, otherwise) with { Choices = choices };

    private static KohyaOption Idle(string name, OptionKind kind, string why, object? otherwise = null) => new(name, kind, OptionStanding.NoEffect, why, otherwise);

    private static KohyaOption No(string name, OptionKind kind, string instead, object? otherwise = null) => new(name, kind, OptionStanding.Refused, instead, otherwise);

    private static string Lower(string sentence) => char.ToLowerInvariant(sentence[0]) + sentence[1..];
}
