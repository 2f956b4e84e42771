namespace Levain.Training.Kohya;

public sealed partial class GuiPreset
{
    private const string LyCoris = "LyCORIS/";

    // The page of LoRAs: network_module and network_args by the kind that was chosen. kohya's own kinds are told only what is not 0, LyCORIS everything.
    private void Network()
    {
        var kind = Text("LoRA_type");
        var arguments = new List<string>();
        used.UnionWith(["LyCORIS_preset", "conv_dim", "conv_alpha", "factor", "unit", "use_tucker", "use_cp", "use_scalar", "dora_wd", "train_norm", "decompose_both", "rescaled",
            "constrain", "train_on_input", "bypass_mode", "rank_dropout", "module_dropout", "rank_dropout_scale", "conv_dims", "conv_alphas", .. Blocks, .. LoraPlus]);
        Add("network_module", kind switch
        {
            _ when kind.StartsWith(LyCoris, StringComparison.Ordinal) => "lycoris.kohya",
            "Standard" or "Kohya LoCon" => "networks.lora",
            "LoRA-FA" => "networks.lora_fa",
            "Kohya DyLoRA" => "networks.dylora",
            "Kohya LoHa" => "networks.loha",
            "Kohya LoKr" => "networks.lokr",
            _ => kind,
        });
        if (kind.StartsWith(LyCoris, StringComparison.Ordinal)) LyCorisArguments(kind[LyCoris.Length..], arguments);
        else KohyaArgumentsOf(kind, arguments);
        foreach (var name in LoraPlus.Where(name => Number(name) != 0)) arguments.Add($"{name}={Text(name)}");
        if (arguments.Count > 0) words.AddRange(["--network_args", .. Split(string.Join(' ', arguments))]);
    }

    private static readonly string[] LoraPlus = ["loraplus_lr_ratio", "loraplus_text_encoder_lr_ratio", "loraplus_unet_lr_ratio"];

    private static readonly string[] Blocks = ["down_lr_weight", "mid_lr_weight", "up_lr_weight", "block_lr_zero_threshold", "block_dims", "block_alphas", "conv_block_dims", "conv_block_alphas"];

    private void KohyaArgumentsOf(string kind, List<string> arguments)
    {
        if (kind is "Kohya LoCon" || kind is "Kohya DyLoRA" && Number("conv_dim") != 0 || kind is "Kohya LoHa" or "Kohya LoKr" && Number("conv_dim") > 0) arguments.AddRange([$"conv_dim={Text("conv_dim")}", $"conv_alpha={Text("conv_alpha")}"]);
        if (kind is "Kohya DyLoRA") arguments.Add($"unit={Text("unit")}");
        if (kind is "Kohya LoKr" && Number("factor") != -1) arguments.Add($"factor={Text("factor")}");
        if (kind is "Kohya LoHa" or "Kohya LoKr" && Flag("use_tucker")) arguments.Add("use_tucker=True");
        foreach (var name in Blocks.Append("rank_dropout").Append("module_dropout").Where(Has)) arguments.Add($"{name}={Text(name).Replace(" ", "")}");
    }

    private void LyCorisArguments(string algorithm, List<string> arguments)
    {
        var (name, more) = algorithm switch
        {
            "LoCon" => ("locon", (string[])["bypass_mode", "dora_wd", "use_scalar", "rank_dropout_scale"]),
            "LoHa" => ("loha", ["bypass_mode", "dora_wd", "use_scalar", "rank_dropout_scale"]),
            "LoKr" => ("lokr", ["bypass_mode", "dora_wd", "factor", "use_cp", "use_scalar", "decompose_both", "rank_dropout_scale"]),
            "iA3" => ("ia3", ["train_on_input"]),
            "DyLoRA" => ("dylora", []),
            "GLoRA" => ("glora", ["rank_dropout_scale"]),
            "Diag-OFT" => ("diag-oft", ["rescaled"]),
            "BOFT" => ("boft", ["rank_dropout_scale"]),
            "Native Fine-Tuning" => ("full", []),
            _ => (algorithm.ToLowerInvariant(), []),
        };
        arguments.AddRange([$"algo={name}", $"preset={Text("LyCORIS_preset")}"]);
        if (name != "full") arguments.AddRange([$"conv_dim={Text("conv_dim")}", $"conv_alpha={Text("conv_alpha")}"]);
        foreach (var one in (name == "ia3" ? [] : new[] { "rank_dropout", "module_dropout", "use_tucker", "train_norm" }).Concat(more)) arguments.Add($"{one}={(Text(one) is { Length: > 0 } text ? text : "0")}");
        if (name == "diag-oft") arguments.Add($"constraint={(Text("constrain") is { Length: > 0 } text ? text : "0")}");
        if (name == "dylora") arguments.Add($"block_size={Text("unit")}");
    }

    // The form's first values; a preset overlays them.
    private static object? FirstValue(string field) => field switch
    {
        "LyCORIS_preset" => "full",
        "network_dim" => 8.0,
        "network_alpha" or "conv_dim" or "conv_alpha" or "unit" or "train_batch_size" or "epoch" or "gradient_accumulation_steps" or "max_grad_norm" or "clip_skip"
            or "prior_loss_weight" or "huber_scale" or "save_every_n_epochs" or "lr_scheduler_num_cycles" or "lr_scheduler_power" or "num_vectors_per_token" or "dataset_repeats" => 1.0,
        "factor" => -1.0,
        "use_tucker" or "use_cp" or "use_scalar" or "dora_wd" or "train_norm" or "decompose_both" or "rescaled" or "bypass_mode" or "rank_dropout_scale" => false,
        "rank_dropout" or "module_dropout" or "constrain" => 0.0,
        "learning_rate" or "unet_lr" or "text_encoder_lr" => 1e-4,
        "optimizer" => "AdamW8bit",
        "lr_scheduler" => "cosine",
        "lr_warmup" => 10.0,
        "max_train_steps" => 1600.0,
        "max_resolution" => "512,512",
        "min_bucket_reso" => 256.0,
        "max_bucket_reso" => 2048.0,
        "bucket_reso_steps" => 64.0,
        "enable_bucket" or "bucket_no_upscale" or "cache_latents" or "train_on_input" => true,
        "caption_extension" => ".txt",
        "mixed_precision" or "save_precision" => "fp16",
        "xformers" => "xformers",
        "max_token_length" => 75.0,
        "max_timestep" => 1000.0,       // says no more than none would, but in the file's modelspec.timestep_range
        "multires_noise_discount" => 0.3,
        "noise_offset_type" => "Original",
        "loss_type" => "l2",
        "huber_schedule" => "snr",
        "huber_c" => 0.1,
        "output_name" => "last",
        "save_model_as" => "safetensors",
        "sample_sampler" => "euler_a",
        "caption_metadata_filename" => "meta_cap.json",
        "latent_metadata_filename" => "meta_lat.json",
        _ => null,
    };
}
