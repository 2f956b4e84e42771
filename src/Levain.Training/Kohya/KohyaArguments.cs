using System.Globalization;
using Levain.Core;
using Levain.Models;
using Levain.Training.Settings;

namespace Levain.Training.Kohya;

/// <summary>Turns a command line of kohya's trainers into settings with <c>compat = "kohya"</c>. What this version does not do is refused by name.</summary>
/// <remarks>kohya-ss/sd-scripts 48d368f, <c>train_network.py</c>.</remarks>
public static partial class KohyaArguments
{
    /// <summary>The trainer this version stands in for.</summary>
    public const string Trainer = "train_network.py";

    private const int DefaultRank = 4;

    /// <summary>Reads the words behind <c>train_network.py</c>. Everything wrong is in the second part of the answer; <see cref="RunSettings.Check"/> may add to it.</summary>
    /// <param name="arguments">The command line, program name left out.</param>
    /// <param name="trainer">File name of kohya's program.</param>
    /// <param name="read">Reads files that options name (<c>--config_file</c>, <c>--dataset_config</c>, <c>--sample_prompts</c>); null: from disk.</param>
    /// <param name="notes">Told about each option that is taken and changes nothing here; null: nobody.</param>
    public static (RunSettings Settings, Problems Problems) Read(IReadOnlyList<string> arguments, string trainer = Trainer, Func<string, string>? read = null, ICollection<string>? notes = null)
    {
        TomlDocument? dataset = null;
        var problems = new Problems(where => dataset?.Locate(where) ?? KohyaOptions.All.Where(option => option.Says == where).Select(option => $"--{option.Name}").FirstOrDefault());
        if (KohyaTrainerNames.Find(trainer) is KohyaTrainers.None)
        {
            problems.Add(trainer, "is not a trainer this version stands in for.", OtherTrainer(Path.GetFileName(trainer)));
            return (new() { Compatibility = Compatibility.Kohya }, problems);
        }
        var files = read ?? File.ReadAllText;
        var line = KohyaCommandLine.Read(KohyaTrainerNames.Find(trainer), arguments, files, problems);
        Refuse(line, problems);
        foreach (var passed in line.Passed) notes?.Add(passed);
        foreach (var idle in line.Idle) notes?.Add($"--{idle.Name} changes nothing here: {(idle.Says.StartsWith("Levain") ? "L" : char.ToLowerInvariant(idle.Says[0]))}{idle.Says[1..]}");
        var settings = Settings(line, files, problems, notes);
        if (line.Text("dataset_config") is { } config && (dataset = DatasetFile(config, files, problems)) is not null) settings = WithDatasets(settings, line, dataset, notes, problems);
        if (settings.Kohya is { ScaleWeightNorms: false }) notes?.Add($"--scale_weight_norms changes nothing here: kohya's {line.Text("network_module")} knows no limit of norms.");
        return (settings, problems);
    }

    /// <summary>What <c>--output_config</c> asks for: the config file's path and its text; null where it is not given with <c>--config_file</c>.</summary>
    /// <exception cref="SettingsException">The command line is wrong, or the file is there already.</exception>
    public static (string Path, string Text)? ConfigFile(IReadOnlyList<string> arguments, string trainer)
    {
        if (!arguments.Any(word => word.StartsWith("--o", StringComparison.Ordinal)) || KohyaTrainerNames.Find(trainer) is KohyaTrainers.None) return null;
        var problems = new Problems();
        var line = KohyaCommandLine.Read(KohyaTrainerNames.Find(trainer), arguments, File.ReadAllText, problems);
        if (!line.Flag("output_config") || line.ConfigFile is not { } path) return null;
        problems.Require(!File.Exists(path), "--config_file", $"names {path}, which is there already.", "Name a file that --output_config may write.");
        problems.ThrowIfAny();
        return (path, line.ToConfig());
    }

    private static string OtherTrainer(string trainer) => trainer switch
    {
        _ when trainer.StartsWith("sdxl_") => "SDXL is not trained by this version; train upon an SD 1.x base with train_network.py.",
        _ => $"Use one of {string.Join(", ", KohyaTrainerNames.All.Values)}.",
    };

    private static void Refuse(KohyaCommandLine line, Problems problems)
    {
        foreach (var option in line.Given.Where(option => option.Standing is OptionStanding.Refused))
        {
            var value = line.Value(option.Name);
            if (value is false or null || value.Equals(option.Default)) continue;
            if (option.Name is "resume_from_huggingface" && string.IsNullOrEmpty(line.Text("resume"))) continue;      // it only says what --resume names
            if (option.Name is "save_state_to_huggingface" && !line.Flag("save_state") && !line.Flag("save_state_on_train_end")) continue;
            problems.Add($"--{option.Name}", value is true ? "is not supported." : $"is {Shown(value)}, which is not supported.", option.Says);
        }
        if (line.Text("log_with") is "wandb" or "all")
            problems.Add("--log_with", $"is {line.Text("log_with")}, which is not supported.", "Use tensorboard: Levain never sends anything anywhere.");
        else if (line.Has("log_with") && !line.Has("logging_dir"))
            problems.Add("--log_with", $"is {line.Text("log_with")} without --logging_dir, which kohya refuses.", "Name a folder with --logging_dir, or leave both out.");
        if (line.Flag("fused_backward_pass"))
        {
            var type = line.Text("optimizer_type")!;
            problems.Require(type.Equals("adafactor", StringComparison.OrdinalIgnoreCase), "--fused_backward_pass", $"is given with {(type.Length > 0 ? $"--optimizer_type {type}" : "the usual optimizer")}, and kohya knows it for AdaFactor alone.", "Leave it out.");
            problems.Require(line.Whole("gradient_accumulation_steps") == 1, "--fused_backward_pass", "is given with --gradient_accumulation_steps, which kohya refuses.", "Leave it out.");
        }
        if (line.Trainer is KohyaTrainers.FineTune && !line.Has("in_json") && !line.Has("dataset_config"))
            problems.Add("--in_json", "is not given.", "Name the metadata file: fine_tune.py knows no folders of captions; train_db.py does.");
        if (line.Trainer is KohyaTrainers.DreamBooth && line.Flag("masked_loss") && !line.Has("dataset_config"))
            problems.Add("--masked_loss", "is given without --dataset_config, which train_db.py refuses.", "Name the folders of masks in a dataset file, or leave --masked_loss out.");
        if (line.Has("in_json") && !line.Has("train_data_dir") && !line.Has("dataset_config"))
            problems.Add("--in_json", "is given without --train_data_dir, which kohya refuses.", "Name the folder of the pictures too, even where the metadata file has whole paths.");
        if (line.Flag("network_train_unet_only") && line.Flag("network_train_text_encoder_only"))
            problems.Add("--network_train_text_encoder_only", "is given with --network_train_unet_only: nothing would be trained.", "Give one of them, or neither.");
    }

    private static RunSettings Settings(KohyaCommandLine line, Func<string, string> files, Problems problems, ICollection<string>? notes)
    {
        var (network, networkArgs) = line.Trainer is KohyaTrainers.Network ? Network(line, problems, notes) : (new(), null);
        var (optimizer, optimizerArgs) = Optimizer(line, problems);
        return new()
        {
            Compatibility = Compatibility.Kohya,
            Trains = line.Trainer switch { KohyaTrainers.Network => Trains.Network, KohyaTrainers.TextualInversion => Trains.Embedding, _ => Trains.Model },
            Model = new()
            {
                Base = FullPath(line.Text("pretrained_model_name_or_path")),
                Vae = FullPath(line.Text("vae")),
                WideVae = line.Flag("no_half_vae"),
                Networks = BaseNetworks(line),
                ClipSkip = line.Whole("clip_skip"),
                MaxTokenLength = line.Whole("max_token_length") ?? ModelSettings.ShortCaption,
                VParameterization = line.Flag("v_parameterization"),
                WeightedCaptions = line.Flag("weighted_captions"),
            },
            Dataset = Dataset(line, problems),
            Cache = new()
            {
                Latents = line.Flag("cache_latents_to_disk") ? LatentCache.Disk : line.Flag("cache_latents") ? LatentCache.Memory : LatentCache.Off,
                VaeBatchSize = line.Whole("vae_batch_size") ?? 1,
            },
            Network = network,
            FineTune = FineTune(line),
            Embedding = Embedding(line),
            Optimizer = optimizer,
            Schedule = Schedule(line, optimizer, problems),
            Training = new()
            {
                Steps = line.Whole("max_train_steps"),
                Epochs = line.Whole("max_train_epochs"),
                BatchSize = line.Whole("train_batch_size") ?? 1,
                GradientAccumulation = line.Whole("gradient_accumulation_steps") ?? 1,
                Seed = line.Long("seed"),
                LoaderWorkers = line.Whole("max_data_loader_n_workers")!.Value,
                PersistentWorkers = line.Flag("persistent_data_loader_workers"),
                Precision = line.Text("mixed_precision") switch { "fp16" => Precision.Fp16, "bf16" => Precision.Bf16, _ => Precision.Fp32 },
                Memory = line.Flag("gradient_checkpointing") ? MemoryPolicy.Lean : MemoryPolicy.Auto,
            },
            Noise = new()
            {
                Offset = line.Number("noise_offset"),
                OffsetRandomStrength = line.Flag("noise_offset_random_strength"),
                AdaptiveScale = line.Number("adaptive_noise_scale"),
                MultiresIterations = line.Whole("multires_noise_iterations"),
                MultiresDiscount = line.Number("multires_noise_discount")!.Value,
                InputPerturbation = line.Number("ip_noise_gamma"),
                InputPerturbationRandomStrength = line.Flag("ip_noise_gamma_random_strength"),
                MinTimestep = line.Whole("min_timestep"),
                MaxTimestep = line.Whole("max_timestep"),
                ZeroTerminalSnr = line.Flag("zero_terminal_snr"),
            },
            Loss = new()
            {
                Type = line.Text("loss_type") switch { "l1" => LossType.L1, "huber" => LossType.Huber, "smooth_l1" => LossType.SmoothL1, _ => LossType.L2 },
                HuberSchedule = line.Text("huber_schedule") switch { "constant" => HuberSchedule.Constant, "exponential" => HuberSchedule.Exponential, _ => HuberSchedule.Snr },
                HuberC = line.Number("huber_c")!.Value,
                HuberScale = line.Number("huber_scale")!.Value,
                MinSnrGamma = line.Number("min_snr_gamma"),
                DebiasedEstimation = line.Flag("debiased_estimation_loss"),
                ScaleVLikeNoise = line.Flag("scale_v_pred_loss_like_noise_pred"),
                VPredLike = line.Trainer is KohyaTrainers.Network or KohyaTrainers.TextualInversion ? line.Number("v_pred_like_loss") : null,
                PriorWeight = line.Number("prior_loss_weight") ?? 1,
            },
            // kohya judges after every epoch, unless told how often, and by steps besides.
            Validation = new()
            {
                EverySteps = line.Whole("validate_every_n_steps"),
                EveryEpochs = line.Whole("validate_every_n_epochs") ?? 1,
                MaxBatches = line.Whole("max_validation_steps"),
                Seed = line.Long("validation_seed"),
            },
            Output = Output(line, notes),
            Snapshots = new()
            {
                WithSaves = line.Flag("save_state"),
                AtEnd = line.Flag("save_state_on_train_end"),
                KohyaResume = FullPath(line.Text("resume")),
                SkipDone = line.Flag("skip_until_initial_step"),
                InitialStep = line.Whole("initial_step"),
                InitialEpoch = line.Whole("initial_epoch"),
                Keep = int.MaxValue,
                KeepLastSteps = Positive(line, "save_last_n_steps_state") ?? Positive(line, "save_last_n_steps"),
                KeepLastEpochs = Positive(line, "save_last_n_epochs_state") ?? Positive(line, "save_last_n_epochs"),
            },
            Samples = Samples(line, files, problems, notes),
            Log = new()
            {
                Folder = FullPath(line.Text("logging_dir")),
                Prefix = line.Text("log_prefix") ?? "",
                Tracker = line.Text("log_tracker_name") ?? (line.Trainer is KohyaTrainers.DreamBooth ? "dreambooth" : null),
                TensorBoard = line.Has("logging_dir") || line.Has("log_with"),
                Json = false,
                Plot = false,
            },
            Kohya = new()
            {
                NetworkModule = line.Text("network_module") ?? "None",
                NetworkDim = line.Whole("network_dim"),
                Wholes = line.Wholes,
                ShortCaptionSaid = line.Whole("max_token_length") is ModelSettings.ShortCaption,
                NetworkDropout = line.Number("network_dropout"),
                NetworkArgs = networkArgs,
                OptimizerArgs = optimizerArgs,
                FromDatasetFile = line.Has("dataset_config"),
                WarmupSteps = line.Value("lr_warmup_steps") is StepsOrShare warmup ? PythonText.Repr(warmup.Steps ?? (object)warmup.Share!.Value) : "0",
                Scheduler = line.Text("lr_scheduler")!,
                LowMemory = line.Flag("lowram"),
                PassesOverMasks = line.Trainer is KohyaTrainers.FineTune,
                ScaleWeightNorms = line.Number("scale_weight_norms") is not { } norm ? null : norm == 0 || LimitsNorms(line) ? norm : false,
                Validation = [line.Value("validation_seed"), line.Value("validation_split"), line.Value("max_validation_steps"), line.Value("validate_every_n_epochs"), line.Value("validate_every_n_steps")],
            },
        };
    }

    // A data URL stays as it is; kohya goes on without a file that is not there.
    private static string? Thumbnail(KohyaCommandLine line, ICollection<string>? notes)
    {
        if (line.Text("metadata_thumbnail") is not { } given || TomlMap.IsDataUrl(given)) return line.Text("metadata_thumbnail");
        if (File.Exists(given)) return FullPath(given);
        notes?.Add($"--metadata_thumbnail names {given}, which is not there: the file has no thumbnail.");
        return null;
    }

    private static OutputSettings Output(KohyaCommandLine line, ICollection<string>? notes) => new()
    {
        Folder = FullPath(line.Text("output_dir")) ?? Environment.CurrentDirectory,
        Name = line.Text("output_name") ?? line.Text("token_string"),
        SaveEveryEpochs = line.Whole("save_every_n_epochs"),
        SaveEverySteps = line.Whole("save_every_n_steps"),
        SaveEpochRatio = line.Whole("save_n_epoch_ratio") is > 0 and var ratio ? ratio : null,
        KeepLastEpochs = line.Whole("save_last_n_epochs"),
        KeepLastSteps = line.Whole("save_last_n_steps"),
        Format = Format(line),
        Precision = line.Text("save_precision") switch { "float" => Precision.Fp32, "fp16" => Precision.Fp16, "bf16" => Precision.Bf16, _ => Precision.Auto },
        Metadata = !line.Flag("no_metadata"),
        Comment = line.Text("training_comment"),
        Title = line.Text("metadata_title"),
        Author = line.Text("metadata_author"),
        Description = line.Text("metadata_description"),
        License = line.Text("metadata_license"),
        Tags = line.Text("metadata_tags"),
        TriggerPhrase = line.Text("metadata_trigger_phrase"),
        UsageHint = line.Text("metadata_usage_hint"),
        Thumbnail = Thumbnail(line, notes),
        MergedFrom = line.Text("metadata_merged_from"),
        Preprocessor = line.Text("metadata_preprocessor"),
        IsNegativeEmbedding = line.Text("metadata_is_negative_embedding"),
    };

    private static SampleSettings Samples(KohyaCommandLine line, Func<string, string> files, Problems problems, ICollection<string>? notes)
    {
        var samples = new SampleSettings
        {
            EverySteps = line.Whole("sample_every_n_steps") is > 0 and var steps ? steps : null,
            EveryEpochs = line.Whole("sample_every_n_epochs") is > 0 and var epochs ? epochs : null,
            AtFirst = line.Flag("sample_at_first"),
            Sampler = KohyaPrompts.Sampler(line.Text("sample_sampler")!),
        };
        if (samples is { EverySteps: null, EveryEpochs: null, AtFirst: false } || line.Text("sample_prompts") is not { } file) return samples;
        try
        {
            var prompts = KohyaPrompts.Read(files(file), file, problems, notes);
            if (prompts.Count > 0) return samples with { Prompts = prompts };
            if (!problems.Any) notes?.Add($"No samples are drawn: {file} holds no prompt.");
        }
        catch (Exception exception) when (exception is FileNotFoundException or DirectoryNotFoundException)
        {
            notes?.Add($"No samples are drawn: {file} is not there.");          // kohya says so each time, and trains on
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            problems.Add("--sample_prompts", $"names {file}, which cannot be read.", "Name a text file with one prompt a line.");
        }
        return new() { Sampler = samples.Sampler };
    }

    private static int? Positive(KohyaCommandLine line, string name) => line.Whole(name) is > 0 and var number ? number : null;

    private static IEnumerable<(string Name, object? Value)> Literals(KohyaCommandLine line, string option, Problems problems)
    {
        foreach (var word in line.Texts(option) ?? [])
        {
            var parts = word.Split('=');
            if (parts.Length == 2 && parts[0].Length > 0 && PythonText.TryLiteral(parts[1], out var value)) yield return (parts[0], value);
            else problems.Add($"--{option}", $"holds \"{word}\".", "Write name=value with a Python literal: True, 0.01, 0.9,0.99 or a quoted text.");
        }
    }

    private static string Shown(object value) => value switch
    {
        List<string> texts => $"\"{string.Join(' ', texts)}\"",
        List<double> numbers => string.Join(' ', numbers),
        string text => $"\"{text}\"",
        _ => PythonText.Str(value),
    };

    private static string? FullPath(string? path) => string.IsNullOrEmpty(path) ? null : Path.GetFullPath(path);

    private static double? Double(string text) => double.TryParse(text.Trim(), NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? number : null;
}
