using System.Globalization;
using Levain.Core;
using Levain.Models;
using Levain.Training.Settings;

namespace Levain.Training.Kohya;

/// <summary>Turns a command line of kohya's trainers into settings with <c>compat = "kohya"</c>. What this version does not do is refused by name.</summary>
/// <remarks>kohya-ss/sd-scripts 48d368f, <c>train_network.py</c>.</remarks>
public static class KohyaArguments
{
    /// <summary>The trainer this version stands in for.</summary>
    public const string Trainer = "train_network.py";

    private const int DefaultRank = 4;

    /// <summary>Reads the words behind <c>train_network.py</c>. Everything wrong is in the second part of the answer; <see cref="RunSettings.Check"/> may add to it.</summary>
    /// <param name="arguments">The command line, program name left out.</param>
    /// <param name="trainer">File name of kohya's program.</param>
    /// <param name="read">Reads files that options name (<c>--config_file</c>, <c>--dataset_config</c>, <c>--sample_prompts</c>); null: from disk.</param>
    public static (RunSettings Settings, Problems Problems) Read(IReadOnlyList<string> arguments, string trainer = Trainer, Func<string, string>? read = null)
    {
        TomlDocument? dataset = null;
        var problems = new Problems(where => dataset?.Locate(where) ?? KohyaOptions.All.Where(option => option.Says == where).Select(option => $"--{option.Name}").FirstOrDefault());
        if (Path.GetFileName(trainer) != Trainer)
        {
            problems.Add(trainer, "is not a trainer this version stands in for.", OtherTrainer(Path.GetFileName(trainer)));
            return (new() { Compatibility = Compatibility.Kohya }, problems);
        }
        var files = read ?? File.ReadAllText;
        var line = KohyaCommandLine.Read(arguments, files, problems);
        Refuse(line, problems);
        var settings = Settings(line, files, problems);
        if (line.Text("dataset_config") is { } config) (settings, dataset) = WithDatasets(settings, config, files, problems);
        return (settings, problems);
    }

    private static string OtherTrainer(string trainer) => trainer switch
    {
        _ when trainer.StartsWith("sdxl_") => "SDXL is not trained by this version; train upon an SD 1.x base with train_network.py.",
        "train_db.py" or "fine_tune.py" => "Training the whole model is not in this version; train a network with train_network.py.",
        _ when trainer.StartsWith("train_textual_inversion") => "Textual inversion is not in this version; train a network with train_network.py.",
        _ => "Use train_network.py.",
    };

    private static void Refuse(KohyaCommandLine line, Problems problems)
    {
        foreach (var option in line.Names.Select(name => KohyaOptions.Find(name)!).Where(option => option.Standing is OptionStanding.Refused))
        {
            var value = line.Value(option.Name);
            if (value is false or null || value.Equals(option.Default)) continue;
            problems.Add($"--{option.Name}", value is true ? "is not supported." : $"is {Shown(value)}, which is not supported.", option.Says);
        }
        if (line.Value("max_data_loader_n_workers") is not 0L)
            problems.Add("--max_data_loader_n_workers", line.Has("max_data_loader_n_workers") ? $"is {line.Value("max_data_loader_n_workers")}." : "is 8 where it is not given, as in kohya.",
                "Give 0: the order of kohya's workers is not in this version, and pictures are read ahead all the same.");
        if (line.Text("save_model_as") is "ckpt" or "pt")
            problems.Add("--save_model_as", $"is {line.Text("save_model_as")}, which is not supported.", "Leave it out: every program reads safetensors, and a pickle can hold code.");
        if (line.Text("log_with") is "wandb" or "all")
            problems.Add("--log_with", $"is {line.Text("log_with")}, which is not supported.", "Use tensorboard: Levain never sends anything anywhere.");
        if (line.Flag("network_train_unet_only") && line.Flag("network_train_text_encoder_only"))
            problems.Add("--network_train_text_encoder_only", "is given with --network_train_unet_only: nothing would be trained.", "Give one of them, or neither.");
    }

    private static RunSettings Settings(KohyaCommandLine line, Func<string, string> files, Problems problems)
    {
        var (network, networkArgs) = Network(line, problems);
        var (optimizer, optimizerArgs) = Optimizer(line, problems);
        return new()
        {
            Compatibility = Compatibility.Kohya,
            Model = new()
            {
                Base = FullPath(line.Text("pretrained_model_name_or_path")),
                Vae = FullPath(line.Text("vae")),
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
            Optimizer = optimizer,
            Schedule = Schedule(line, problems),
            Training = new()
            {
                Steps = line.Whole("max_train_steps"),
                Epochs = line.Whole("max_train_epochs"),
                BatchSize = line.Whole("train_batch_size") ?? 1,
                GradientAccumulation = line.Whole("gradient_accumulation_steps") ?? 1,
                Seed = line.Long("seed"),
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
                VPredLike = line.Number("v_pred_like_loss"),
                PriorWeight = line.Number("prior_loss_weight")!.Value,
            },
            Output = Output(line),
            Snapshots = new()
            {
                WithSaves = line.Flag("save_state"),
                AtEnd = line.Flag("save_state_on_train_end"),
                Keep = line.Whole("save_last_n_epochs_state") ?? line.Whole("save_last_n_steps_state") ?? line.Whole("save_last_n_epochs") ?? int.MaxValue,
            },
            Samples = Samples(line, files, problems),
            Log = new()
            {
                Folder = FullPath(line.Text("logging_dir")),
                Prefix = line.Text("log_prefix") ?? "",
                TensorBoard = line.Has("logging_dir") || line.Has("log_with"),
                Json = false,
                Plot = false,
            },
            Kohya = new()
            {
                NetworkModule = line.Text("network_module") ?? "None",
                NetworkDim = line.Whole("network_dim"),
                AlphaUntouched = !line.Has("network_alpha"),
                NetworkArgs = networkArgs,
                OptimizerArgs = optimizerArgs,
                FromDatasetFile = line.Has("dataset_config"),
                WarmupSteps = line.Has("lr_warmup_steps") && line.Value("lr_warmup_steps") is StepsOrShare warmup ? warmup is { Steps: 0 } ? "0.0" : PythonText.Repr(warmup.Steps ?? (object)warmup.Share!.Value) : "0",
                LowMemory = line.Flag("lowram"),
                Validation = [line.Value("validation_seed"), line.Value("validation_split"), line.Value("max_validation_steps"), line.Value("validate_every_n_epochs"), line.Value("validate_every_n_steps")],
            },
        };
    }

    private static (NetworkSettings, IReadOnlyList<KeyValuePair<string, string>>?) Network(KohyaCommandLine line, Problems problems)
    {
        var module = line.Text("network_module");
        if (module is null) problems.Add("--network_module", "is not given.", "Use networks.lora.");
        else if (module != "networks.lora") problems.Add("--network_module", $"is {module}, which is not supported.", "Use networks.lora; conv_dim in --network_args adapts convolutions too.");
        var rank = line.Whole("network_dim") ?? DefaultRank;
        var network = new NetworkSettings
        {
            Rank = rank,
            Alpha = line.Number("network_alpha") is 0 ? rank : line.Number("network_alpha"),
            Dropout = line.Number("network_dropout"),
            MaxNorm = line.Number("scale_weight_norms"),
            Train = line.Flag("network_train_unet_only") ? TrainedPart.Unet : line.Flag("network_train_text_encoder_only") ? TrainedPart.TextEncoder : TrainedPart.Both,
        };
        if (line.Texts("network_args") is not { } words) return (network, null);
        var pairs = new OrderedDictionary<string, string>();
        foreach (var word in words)
        {
            var equals = word.IndexOf('=');
            if (equals <= 0) problems.Add("--network_args", $"holds \"{word}\".", "Write name=value.");
            else pairs[word[..equals]] = word[(equals + 1)..];
        }
        if (module != "networks.lora") return (network, [.. pairs]);
        var known = new List<string>();
        var at = problems.In("--network_args");
        network = network with
        {
            ConvRank = Arg("conv_dim", Int, null),
            ConvAlpha = Arg("conv_alpha", Double, null) ?? 1,
            Dropout = Arg("dropout", Double, null) ?? network.Dropout,
            RankDropout = Arg("rank_dropout", Double, null),
            ModuleDropout = Arg("module_dropout", Double, null),
            BlockRanks = List("block_dims", Int),
            BlockAlphas = List("block_alphas", Double),
            ConvBlockRanks = List("conv_block_dims", Int),
            ConvBlockAlphas = List("conv_block_alphas", Double),
            DownWeights = Curve("down_lr_weight"),
            MidWeight = Curve("mid_lr_weight"),
            UpWeights = Curve("up_lr_weight"),
            BlockZeroThreshold = Arg("block_lr_zero_threshold", Double, null) ?? 0,
            LoraPlusRatio = Arg("loraplus_lr_ratio", Double, null),
            LoraPlusUnetRatio = Arg("loraplus_unet_lr_ratio", Double, null),
            LoraPlusTextEncoderRatio = Arg("loraplus_text_encoder_lr_ratio", Double, null),
        };
        foreach (var name in pairs.Keys.Except(known)) at.Add(name, "is not an argument of networks.lora.", Nearest.Advice(name, known));
        return (network, [.. pairs]);

        T? Arg<T>(string name, Func<string, T?> parse, T? otherwise) where T : struct
        {
            known.Add(name);
            if (!pairs.TryGetValue(name, out var text) || text == "None") return otherwise;
            if (parse(text) is { } value) return value;
            at.Add(name, $"is \"{text}\".", typeof(T) == typeof(int) ? "Give a whole number." : "Give a number.");
            return otherwise;
        }

        IReadOnlyList<T>? List<T>(string name, Func<string, T?> parse) where T : struct
        {
            known.Add(name);
            if (!pairs.TryGetValue(name, out var text)) return null;
            var values = text.Split(',').Select(parse).ToList();
            if (values.All(value => value is not null)) return [.. values.Select(value => value!.Value)];
            at.Add(name, $"is \"{text}\".", "Give 25 numbers with commas between.");
            return null;
        }

        BlockCurve? Curve(string name)
        {
            known.Add(name);
            if (!pairs.TryGetValue(name, out var text)) return null;
            if (BlockCurve.Parse(text) is { } curve) return curve;
            at.Add(name, $"is \"{text}\".", $"Give {BlockCurve.Form}.");
            return null;
        }
    }

    private static (OptimizerSettings, IReadOnlyList<KeyValuePair<string, string>>) Optimizer(KohyaCommandLine line, Problems problems)
    {
        var type = line.Text("optimizer_type")!;
        var optimizer = new OptimizerSettings
        {
            Type = type.ToLowerInvariant() is "" or "adamw" || type == "torch.optim.AdamW" ? "AdamW" : type,
            LearningRate = line.Number("learning_rate")!.Value,
            UnetLearningRate = line.Number("unet_lr"),
            TextEncoderLearningRate = line.Numbers("text_encoder_lr") is [var first, ..] ? first : null,
            MaxGradNorm = line.Number("max_grad_norm")!.Value,
        };
        var known = optimizer.Type == "AdamW";
        if (!known) problems.Add("--optimizer_type", $"is {type}, which is not supported.", "Use AdamW.");
        var printed = new List<KeyValuePair<string, string>>();
        foreach (var (name, value) in Literals(line, "optimizer_args", problems))
        {
            printed.Add(new(name, PythonText.Str(value)));
            if (!known) continue;
            var number = value switch { double real => real, long whole => whole, _ => (double?)null };
            switch (name)
            {
                case "weight_decay" when number is { } decay: optimizer = optimizer with { WeightDecay = decay }; break;
                case "eps" when number is { } epsilon: optimizer = optimizer with { Epsilon = epsilon }; break;
                case "betas" when value is PythonTuple { Items: [double or long, double or long] } betas:
                    optimizer = optimizer with { Beta1 = Convert.ToDouble(betas.Items[0], CultureInfo.InvariantCulture), Beta2 = Convert.ToDouble(betas.Items[1], CultureInfo.InvariantCulture) };
                    break;
                case "weight_decay" or "eps" or "betas": problems.Add("--optimizer_args", $"has {name}={PythonText.Repr(value)}.", name == "betas" ? "Write betas=0.9,0.999." : "Give a number."); break;
                case "fused" or "foreach" or "capturable" or "differentiable": break;      // how torch computes, not what
                case "amsgrad" or "maximize" when value is false: break;
                default: problems.Add("--optimizer_args", $"has {name}, which is not supported for AdamW.", "Use weight_decay, betas and eps."); break;
            }
        }
        return (optimizer, printed);
    }

    private static ScheduleSettings Schedule(KohyaCommandLine line, Problems problems)
    {
        var name = line.Text("lr_scheduler")!;
        var names = TomlMap.Names<ScheduleType>().ToList();
        var type = names.IndexOf(name);
        if (type < 0)
            problems.Add("--lr_scheduler", $"is {name}, which is not supported.", name is "adafactor" or "reduce_lr_on_plateau" or "cosine_warmup_with_min_lr"
                ? $"Use one of {string.Join(", ", names)}." : Nearest.Advice(name, names));
        string? rules = null;
        foreach (var (key, value) in Literals(line, "lr_scheduler_args", problems))
        {
            if (key == "step_rules" && value is string text) rules = text;
            else problems.Add("--lr_scheduler_args", $"has {key}={PythonText.Repr(value)}, which is not supported.", "Only piecewise_constant takes one: step_rules=\"1:100,0.1\" with the quotes inside.");
        }
        return new()
        {
            Type = type < 0 ? ScheduleType.Constant : (ScheduleType)type,
            Warmup = line.Value("lr_warmup_steps") as StepsOrShare ?? StepsOrShare.None,
            Decay = line.Value("lr_decay_steps") as StepsOrShare ?? StepsOrShare.None,
            Cycles = line.Whole("lr_scheduler_num_cycles")!.Value,
            Power = line.Number("lr_scheduler_power")!.Value,
            Timescale = line.Whole("lr_scheduler_timescale"),
            MinRatio = line.Number("lr_scheduler_min_lr_ratio"),
            StepRules = rules,
        };
    }

    private static OutputSettings Output(KohyaCommandLine line) => new()
    {
        Folder = FullPath(line.Text("output_dir")) ?? Environment.CurrentDirectory,
        Name = line.Text("output_name"),
        SaveEveryEpochs = line.Whole("save_every_n_epochs"),
        SaveEverySteps = line.Whole("save_every_n_steps"),
        SaveEpochRatio = line.Whole("save_n_epoch_ratio") is > 0 and var ratio ? ratio : null,
        KeepLastEpochs = line.Whole("save_last_n_epochs"),
        KeepLastSteps = line.Whole("save_last_n_steps"),
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
        Thumbnail = FullPath(line.Text("metadata_thumbnail")),
        MergedFrom = line.Text("metadata_merged_from"),
        Preprocessor = line.Text("metadata_preprocessor"),
        IsNegativeEmbedding = line.Text("metadata_is_negative_embedding"),
    };

    // Every value is set, so that kohya's defaults hold and not those of a run file.
    private static DatasetSettings Dataset(KohyaCommandLine line, Problems problems) => new()
    {
        Folder = line.Has("dataset_config") ? null : FullPath(line.Text("train_data_dir")),
        RegFolder = line.Has("dataset_config") ? null : FullPath(line.Text("reg_data_dir")),
        BatchSize = line.Whole("train_batch_size"),
        Resolution = Resolution(line.Text("resolution"), problems),
        EnableBucket = line.Flag("enable_bucket"),
        BucketNoUpscale = line.Flag("bucket_no_upscale"),
        MinBucketReso = line.Whole("min_bucket_reso"),
        MaxBucketReso = line.Whole("max_bucket_reso"),
        BucketResoSteps = line.Whole("bucket_reso_steps"),
        Shared = new()
        {
            NumRepeats = line.Whole("dataset_repeats"),
            ShuffleCaption = line.Flag("shuffle_caption"),
            FlipAug = line.Flag("flip_aug"),
            RandomCrop = line.Flag("random_crop"),
            EnableWildcard = line.Flag("enable_wildcard"),
            CaptionSeparator = line.Text("caption_separator"),
            KeepTokensSeparator = line.Text("keep_tokens_separator"),
            SecondarySeparator = line.Text("secondary_separator"),
            CaptionPrefix = line.Text("caption_prefix"),
            CaptionSuffix = line.Text("caption_suffix"),
            KeepTokens = line.Whole("keep_tokens"),
            TokenWarmupMin = line.Whole("token_warmup_min"),
            TokenWarmupStep = line.Number("token_warmup_step"),
            CaptionDropoutRate = line.Number("caption_dropout_rate"),
            CaptionDropoutEveryNEpochs = line.Whole("caption_dropout_every_n_epochs"),
            CaptionTagDropoutRate = line.Number("caption_tag_dropout_rate"),
            ResizeInterpolation = line.Text("resize_interpolation"),
            CaptionExtension = line.Text("caption_extention") ?? line.Text("caption_extension"),
        },
    };

    private static PixelSize? Resolution(string? text, Problems problems)
    {
        if (text is null) return null;
        var sides = text.Split(',').Select(part => int.TryParse(part.Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out var side) ? side : 0).ToList();
        if (sides is [> 0] or [> 0, > 0]) return new(sides[0], sides[^1]);
        problems.Add("--resolution", $"is \"{text}\".", "Write 512, or 512,768 for width and height.");
        return null;
    }

    private static (RunSettings, TomlDocument?) WithDatasets(RunSettings settings, string config, Func<string, string> files, Problems problems)
    {
        string text;
        try
        {
            text = files(config);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            problems.Add("--dataset_config", $"names {config}, which cannot be read.", "Name a TOML file that is there.");
            return (settings, null);
        }
        var document = TomlDocument.Parse(text, Path.GetFileName(config), problems);
        return (TomlReader.Read(document, settings, Map, problems, Environment.CurrentDirectory), document);   // kohya's paths start from where it is called

        static RunSettings Map(RunSettings run, TomlMap map) => run with
        {
            General = map.Table("general", run.General, DatasetSettings.MapGeneral),
            Datasets = map.Tables("datasets", run.Datasets, () => new(), DatasetSettings.Map),
        };
    }

    private static SampleSettings Samples(KohyaCommandLine line, Func<string, string> files, Problems problems)
    {
        var samples = new SampleSettings
        {
            EverySteps = line.Whole("sample_every_n_steps") is > 0 and var steps ? steps : null,
            EveryEpochs = line.Whole("sample_every_n_epochs") is > 0 and var epochs ? epochs : null,
            AtFirst = line.Flag("sample_at_first"),
            Sampler = line.Text("sample_sampler")!.Replace("k_", ""),
        };
        if (samples is { EverySteps: null, EveryEpochs: null, AtFirst: false } || line.Text("sample_prompts") is not { } file) return samples;
        try
        {
            return samples with { Prompts = KohyaPrompts.Read(files(file), file, problems) };
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            problems.Add("--sample_prompts", $"names {file}, which cannot be read.", "Name a text file with one prompt a line.");
            return samples;
        }
    }

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

    private static int? Int(string text) => int.TryParse(text.Trim(), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole) ? whole : null;

    private static double? Double(string text) => double.TryParse(text.Trim(), NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? number : null;
}
