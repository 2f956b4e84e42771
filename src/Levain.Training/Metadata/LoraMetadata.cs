using System.Globalization;
using Levain.Core;
using Levain.Networks;
using Levain.Training.Kohya;
using Levain.Training.Planning;
using Levain.Training.Settings;

namespace Levain.Training.Metadata;

/// <summary>What is known of a run only while it runs.</summary>
public sealed record RunMoment
{
    /// <summary>A number that tells sessions apart.</summary>
    public required long SessionId { get; init; }

    /// <summary>When training began, seconds since 1970.</summary>
    public required double StartedAt { get; init; }

    /// <summary>When the file is written, seconds since 1970.</summary>
    public required double SavedAt { get; init; }

    /// <summary>Steps made.</summary>
    public required int Steps { get; init; }

    /// <summary>Epoch, from 1, that is over or going on.</summary>
    public required int Epoch { get; init; }

    /// <summary>Short hash and SHA-256 of the base; null where they were not computed.</summary>
    public (string Short, string Sha256)? BaseHashes { get; init; }

    /// <summary>Short hash and SHA-256 of the VAE; null where there is none of its own.</summary>
    public (string Short, string Sha256)? VaeHashes { get; init; }
}

/// <summary>The metadata of a LoRA file: kohya's <c>ss_*</c> keys word for word, and <c>modelspec.*</c>. The <c>sshs_*</c> hashes come with the tensors.</summary>
/// <remarks>kohya-ss/sd-scripts 48d368f, <c>train_network.py</c>; every value is Python's <c>str(value)</c>.</remarks>
public static class LoraMetadata
{
    /// <summary>The keys that are written in any case: what other programs need to load a file.</summary>
    public static IReadOnlyList<string> MinimumKeys { get; } = ["ss_v2", "ss_base_model_version", "ss_network_module", "ss_network_dim", "ss_network_alpha", "ss_network_args"];

    /// <summary>The minimum: values that are null are left out; <paramref name="arguments"/> is a map in order, written as JSON.</summary>
    public static OrderedDictionary<string, string> Minimum(string? v2, string? baseVersion, string module, string rank, string alpha, IEnumerable<KeyValuePair<string, object?>>? arguments)
    {
        var texts = new OrderedDictionary<string, string> { ["ss_network_module"] = module, ["ss_network_dim"] = rank, ["ss_network_alpha"] = alpha };
        if (v2 is not null) texts["ss_v2"] = v2;
        if (baseVersion is not null) texts["ss_base_model_version"] = baseVersion;
        if (arguments is not null) texts["ss_network_args"] = PythonText.Json(arguments);
        return texts;
    }

    /// <summary>The metadata of a file written now.</summary>
    /// <param name="plan">The run.</param>
    /// <param name="moment">Where it stands.</param>
    /// <param name="reason">Why the file is written: a file in the middle of an epoch has kohya's epoch counted from 0 under K-28.</param>
    public static OrderedDictionary<string, string> Build(RunPlan plan, RunMoment moment, SaveReason reason)
    {
        var texts = Run(plan, moment, reason);
        foreach (var (key, value) in DatasetMetadata.Build(plan)) texts[key] = value;
        if (!plan.Settings.Output.Metadata)
            foreach (var key in texts.Keys.Except(MinimumKeys).ToList()) texts.Remove(key);
        foreach (var (key, value) in Spec(plan.Settings, moment.SavedAt).Build()) texts[key] = value;
        return texts;
    }

    /// <summary><c>modelspec.*</c> of a run's file.</summary>
    public static ModelSpec Spec(RunSettings settings, double savedAt) => new()
    {
        VParameterization = settings.Model.VParameterization,
        Title = settings.Output.Title ?? settings.Output.Name,
        Resolution = settings.Dataset.Resolution ?? (settings.Kohya is null ? settings.FilledDatasets[0].Resolution : null),
        Author = settings.Output.Author,
        Description = settings.Output.Description,
        License = settings.Output.License,
        Tags = settings.Output.Tags,
        MergedFrom = settings.Output.MergedFrom,
        Timesteps = settings.Noise is { MinTimestep: null, MaxTimestep: null } ? null : (settings.Noise.MinTimestep ?? 0, settings.Noise.MaxTimestep ?? NoiseSettings.Timesteps),
        ClipSkip = settings.Model.ClipSkip,
        Timestamp = savedAt,
        ImplementationVersion = settings.Compatibility is Compatibility.Kohya ? "sd-scripts/unknown" : $"levain/{typeof(LoraMetadata).Assembly.GetName().Version!.ToString(3)}",
        More =
        [
            new("usage_hint", settings.Output.UsageHint), new("thumbnail", settings.Output.Thumbnail), new("trigger_phrase", settings.Output.TriggerPhrase),
            new("preprocessor", settings.Output.Preprocessor), new("is_negative_embedding", settings.Output.IsNegativeEmbedding),
        ],
    };

    private static OrderedDictionary<string, string> Run(RunPlan plan, RunMoment moment, SaveReason reason)
    {
        var run = plan.Settings;
        var (model, network, optimizer, training, noise, loss) = (run.Model, run.Network, run.Optimizer, run.Training, run.Noise, run.Loss);
        var (shared, kohya) = (run.Dataset.Shared.Over(DatasetSettings.Defaults.Shared), run.Kohya);
        var parts = plan.Dataset.Parts;
        var precision = training.Precision switch { Precision.Fp16 => "fp16", Precision.Bf16 => "bf16", _ => "no" };
        IReadOnlyList<object?> validation = kohya?.Validation ??
            [run.Validation.Seed, run.FilledDatasets.Max(dataset => dataset.ValidationSplit), run.Validation.MaxBatches, run.Validation.EveryEpochs, run.Validation.EverySteps];
        var texts = new OrderedDictionary<string, string>();
        Put("session_id", moment.SessionId);
        Put("training_started_at", moment.StartedAt);
        Put("output_name", run.Output.Name);
        // kohya forgets rates that AdaFactor makes itself, but for the text encoder's, which it has put down before.
        var made = optimizer.Options.MakesRates;
        Put("learning_rate", made ? null : optimizer.LearningRate);
        Put("text_encoder_lr", optimizer.TextEncoderLearningRate);
        Put("unet_lr", made ? null : optimizer.UnetLearningRate);
        Put("num_train_images", parts.Sum(part => part.TrainUses));
        Put("num_validation_images", plan.Dataset.Validation.Sum(part => part.TrainUses));
        Put("num_reg_images", parts.Sum(part => part.RegUses));
        Put("num_batches_per_epoch", plan.Length.BatchesPerEpoch);
        Put("num_epochs", plan.Length.Epochs);
        Put("gradient_checkpointing", training.Memory is Models.MemoryPolicy.Lean);
        Put("gradient_accumulation_steps", training.GradientAccumulation);
        Put("max_train_steps", plan.Length.Steps);
        Put("lr_warmup_steps", kohya?.WarmupSteps ?? PythonText.Repr(run.Schedule.Warmup.Write()));
        Put("lr_scheduler", made ? $"adafactor:{PythonText.Repr(AsGiven("learning_rate", optimizer.LearningRate))}" : kohya?.Scheduler ?? TomlMap.Spell(run.Schedule.Type.ToString()));
        Put("network_module", kohya?.NetworkModule ?? ModuleOf(network));
        Put("network_dim", kohya is null ? network.Rank : kohya.NetworkDim);
        Put("network_alpha", network.EffectiveAlpha);
        Put("network_dropout", kohya is null ? network.Dropout : kohya.NetworkDropout);
        Put("mixed_precision", precision);
        Put("full_fp16", false);
        Put("v2", false);
        Put("base_model_version", model.VParameterization ? "sd_v1_v" : "sd_v1");
        Put("clip_skip", model.ClipSkip);
        Put("max_token_length", model.MaxTokenLength == ModelSettings.ShortCaption && kohya is not { ShortCaptionSaid: true } ? null : model.MaxTokenLength);
        Put("cache_latents", run.LatentCache is not LatentCache.Off);
        Put("seed", training.Seed);
        Put("lowram", kohya?.LowMemory ?? false);
        Put("noise_offset", noise.Offset);
        Put("multires_noise_iterations", noise.MultiresIterations);
        Put("multires_noise_discount", noise.MultiresDiscount);
        Put("adaptive_noise_scale", noise.AdaptiveScale);
        Put("zero_terminal_snr", noise.ZeroTerminalSnr);
        Put("training_comment", run.Output.Comment);
        Put("optimizer", OptimizerText(run));
        Put("max_grad_norm", optimizer.MaxGradNorm);
        Put("caption_dropout_rate", shared.CaptionDropoutRate);
        Put("caption_dropout_every_n_epochs", shared.CaptionDropoutEveryNEpochs);
        Put("caption_tag_dropout_rate", shared.CaptionTagDropoutRate);
        Put("face_crop_aug_range", shared.FaceCropAugRange is { } range ? new PythonTuple([.. range.Cast<object?>()]) : null);
        Put("prior_loss_weight", loss.PriorWeight);
        Put("min_snr_gamma", loss.MinSnrGamma);
        Put("scale_weight_norms", kohya is null ? network.MaxNorm : kohya.ScaleWeightNorms);
        Put("ip_noise_gamma", noise.InputPerturbation);
        Put("debiased_estimation", loss.DebiasedEstimation);
        Put("noise_offset_random_strength", noise.OffsetRandomStrength);
        Put("ip_noise_gamma_random_strength", noise.InputPerturbationRandomStrength);
        Put("loss_type", TomlMap.Spell(loss.Type.ToString()));
        Put("huber_schedule", TomlMap.Spell(loss.HuberSchedule.ToString()));
        Put("huber_scale", loss.HuberScale);
        Put("huber_c", loss.HuberC);
        Put("fp8_base", false);
        Put("fp8_base_unet", false);
        foreach (var (key, value) in new[] { "validation_seed", "validation_split", "max_validation_steps", "validate_every_n_epochs", "validate_every_n_steps" }.Zip(validation)) Put(key, value);
        Put("resize_interpolation", shared.ResizeInterpolation);
        if (NetworkArguments(run) is { } arguments) Put("network_args", PythonText.Json(arguments));
        if (run.Compatibility is Compatibility.Kohya) Put("sd_scripts_commit_hash", "(unknown)");
        if (model.Base is { } file)
        {
            Put("sd_model_name", Path.GetFileName(Path.TrimEndingDirectorySeparator(file)));
            if (moment.BaseHashes is var (old, full)) Hashes("sd", old, full);
        }
        if (model.Vae is { } vae)
        {
            Put("vae_name", Path.GetFileName(Path.TrimEndingDirectorySeparator(vae)));
            if (moment.VaeHashes is var (old, full)) Hashes("vae", old, full);
        }
        Put("training_finished_at", moment.SavedAt);
        Put("steps", moment.Steps);
        Put("epoch", reason is SaveReason.Step && run.Compat.ZeroBasedStepEpoch ? moment.Epoch - 1 : moment.Epoch);
        return texts;

        void Put(string key, object? value) => texts[$"ss_{key}"] = PythonText.Str(AsGiven(key, value));

        object? AsGiven(string key, object? value) => kohya is null ? value : kohya.AsGiven(key, value);

        void Hashes(string what, string old, string full)
        {
            texts[what == "sd" ? "ss_sd_model_hash" : "ss_vae_hash"] = old;
            texts[what == "sd" ? "ss_new_sd_model_hash" : "ss_new_vae_hash"] = full;
        }
    }

    /// <summary>The optimizer as kohya prints it: its class, and the arguments it was given.</summary>
    internal static string OptimizerText(RunSettings run)
    {
        var chosen = run.Optimizer.Chosen!;
        var words = run.Kohya?.OptimizerArgs
            ?? [.. PythonArgumentWriter.Write(run.Optimizer.Options, chosen.Defaults, static (options, map) => options.Map(map)).Select(pair => KeyValuePair.Create(pair.Key, PythonText.Str(pair.Value)))];
        return chosen.Class + (words.Count == 0 ? "" : $"({string.Join(',', words.Select(argument => $"{argument.Key}={argument.Value}"))})");
    }

    private static string ModuleOf(NetworkSettings network) => network.AdapterFamily switch
    {
        { Origin: AdapterOrigin.Lycoris } => "lycoris.kohya",
        { Name: "lora_fa" } => "networks.lora_fa",
        { Name: "kohya_dylora" } => "networks.dylora",
        { Name: "kohya_oft" } => "networks.oft",
        _ => "networks.lora",
    };

    // Word for word from a kohya command line, with the dropout its trainer adds; else what such a command line would have said.
    private static List<KeyValuePair<string, object?>>? NetworkArguments(RunSettings run)
    {
        var network = run.Network;
        if (run.Kohya is { } kohya)
        {
            if (kohya.NetworkArgs is not { Count: > 0 }) return null;
            var given = kohya.NetworkArgs.Select(pair => new KeyValuePair<string, object?>(pair.Key, pair.Value)).ToList();
            if (!network.RankFromWeights && given.All(pair => pair.Key != "dropout")) given.Add(new("dropout", kohya.NetworkDropout));
            return given;
        }
        var words = new List<KeyValuePair<string, object?>>();
        var family = network.AdapterFamily;
        var lycoris = family?.Origin is AdapterOrigin.Lycoris;
        Say("algo", lycoris ? network.Family == AdapterFamilies.Dora.Name ? AdapterFamilies.LoCon.Name : network.Family : null);
        Say("preset", network.Preset ?? (network.PresetFile is { } file ? Path.GetFileName(file) : null));
        Say("dora_wd", network.Dora is not DoraAxis.None || family == AdapterFamilies.Dora ? "True" : null);
        Say("wd_on_output", network.Dora is DoraAxis.Input ? "False" : null);
        foreach (var (name, said) in new[]
            { ("use_tucker", network.Tucker), ("use_scalar", network.Scalar), ("rs_lora", network.RankStabilized), ("bypass_mode", network.Bypass), ("train_norm", network.TrainNorm),
              ("decompose_both", network.Lokr.DecomposeBoth), ("full_matrix", network.Lokr.FullMatrix), ("unbalanced_factorization", network.Lokr.Unbalanced),
              ("rescaled", network.Oft.Rescaled), ("enable_all_linear", network.Oft.AllLinear), ("enable_conv", family == AdapterFamilies.KohyaOft && network.ConvRank > 0) })
            Say(name, said ? "True" : null);
        Say("factor", family == AdapterFamilies.LoKr ? network.Lokr.Factor.ToString(CultureInfo.InvariantCulture) : null);
        Say("block_size", family == AdapterFamilies.Dylora ? network.Block.ToString(CultureInfo.InvariantCulture) : null);
        Say("unit", family == AdapterFamilies.KohyaDylora ? network.Block.ToString(CultureInfo.InvariantCulture) : null);
        Say("constraint", network.Oft.Constraint == 0 ? null : Number(network.Oft.Constraint));
        Say("conv_dim", network.ConvRank?.ToString(CultureInfo.InvariantCulture));
        Say("conv_alpha", network.ConvRank is null && network.ConvBlockRanks is null ? null : Number(network.ConvAlpha ?? (lycoris ? network.EffectiveAlpha : 1)));
        Say("rank_dropout", Number(network.RankDropout));
        Say("module_dropout", Number(network.ModuleDropout));
        Say("block_dims", network.BlockRanks is { } ranks ? string.Join(',', ranks) : null);
        Say("block_alphas", List(network.BlockAlphas));
        Say("conv_block_dims", network.ConvBlockRanks is { } conv ? string.Join(',', conv) : null);
        Say("conv_block_alphas", List(network.ConvBlockAlphas));
        Say("down_lr_weight", network.DownWeights?.Spelt(BlockCurve.Side));
        Say("mid_lr_weight", network.MidWeight?.Spelt(1));
        Say("up_lr_weight", network.UpWeights?.Spelt(BlockCurve.Side));
        Say("block_lr_zero_threshold", network.BlockZeroThreshold == 0 ? null : Number(network.BlockZeroThreshold));
        Say("loraplus_lr_ratio", Number(network.LoraPlusRatio));
        Say("loraplus_unet_lr_ratio", Number(network.LoraPlusUnetRatio));
        Say("loraplus_text_encoder_lr_ratio", Number(network.LoraPlusTextEncoderRatio));
        if (words.Count == 0) return null;
        words.Add(new("dropout", network.Dropout));
        return words;

        void Say(string name, string? value)
        {
            if (value is not null) words.Add(new(name, value));
        }

        static string? Number(double? value) => value?.ToString("R", CultureInfo.InvariantCulture);

        static string? List(IReadOnlyList<double>? values) => values is null ? null : string.Join(',', values.Select(value => Number(value)));
    }
}
