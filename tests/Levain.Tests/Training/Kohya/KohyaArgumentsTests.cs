using Levain.Core;
using Levain.Training;
using Levain.Training.Kohya;
using Levain.Training.Settings;
using Xunit;

namespace Levain.Tests.Training.Kohya;

public sealed class KohyaArgumentsTests(ITestOutputHelper output)
{
    /// <summary>What the first version must accept, a wildcard at the end allowed.</summary>
    private const string Promised =
        "accumulate2 alpha_mask* base_weights batch2_restarts block_dims block_lr bucket_no_upscale c3lier cache_* caption_* color_crop debiased dim_from_weights dropout epochs_* face_* huber_* ip_noise* l1 lora_adamw " +
        "lora_adamw_seed43 lora_default_alpha lora_metadata_file loraplus masked_loss max_norm* min_snr module_dropout multires noise_offset* opt_* rank_dropout real_sd15 reg resize_bicubic " +
        "resume_* smooth_l1_const square_nobucket steps_rotate te_lr_zero timesteps tokens225 toml_multi unet_only v_like validation warm_start weighted* workers* zero_terminal";

    private static readonly string[] Base = ["--pretrained_model_name_or_path", "m.safetensors", "--train_data_dir", "d", "--resolution", "512", "--network_module", "networks.lora", "--max_data_loader_n_workers", "0"];

    private static (RunSettings Settings, Problems Problems) Read(params string[] more)
    {
        var (settings, problems) = KohyaArguments.Read([.. Base, .. more]);
        settings.Check(problems);
        return (settings, problems);
    }

    // kohya starts eight workers unless it is told not to.
    [Fact]
    public void Done_soundly_a_command_line_needs_no_word_about_workers()
    {
        var (settings, _) = KohyaArguments.Read([.. Base[..^2], "--persistent_data_loader_workers"]);
        Assert.Equal(8, settings.Training.LoaderWorkers);
        var problems = new Problems();
        settings.Soundly().Check(problems);
        Assert.DoesNotContain(problems.All, problem => problem.Where.Contains("workers"));
    }

    [Fact]
    public void Regularization_pictures_beside_a_metadata_file_are_passed_over_as_in_kohya()
    {
        Assert.EndsWith("r", Read("--reg_data_dir", "r").Settings.Dataset.RegFolder);
        Assert.Null(Read("--reg_data_dir", "r", "--in_json", "m.json").Settings.Dataset.RegFolder);
    }

    [Fact]
    public void A_seed_of_the_split_may_be_as_large_as_kohya_takes_it() =>
        Assert.Equal(4_000_000_000, Read("--validation_split", "0.2", "--validation_seed", "4000000000").Settings.Dataset.ValidationSeed);

    [Fact]
    public void Recorded_runs_are_accepted_or_refused_by_name()
    {
        var (accepted, refused) = (new List<string>(), new List<string>());
        foreach (var name in RecordedRuns.Names)
        {
            var (_, problems) = RecordedRuns.Read(RecordedRuns.Load(name));
            if (!problems.Any)
            {
                accepted.Add(name);
                continue;
            }
            refused.Add($"{name}: {problems.All[0]}");
            Assert.All(problems.All, problem => Assert.True(problem.Where.Length > 0 && problem.What.Length > 0 && problem.Fix.Length > 0, $"{name}: {problem}"));
        }
        output.WriteLine($"{accepted.Count} accepted, {refused.Count} refused by name");
        output.WriteLine("accepted: " + string.Join(' ', accepted));
        foreach (var line in refused) output.WriteLine(line);
        var here = RecordedRuns.Names.Where(name => Promised.Split(' ').Any(promise => promise.EndsWith('*') ? name.StartsWith(promise[..^1]) : name == promise));
        Assert.Empty(here.Except(accepted).Select(name => refused.First(line => line.StartsWith(name + ":"))));
    }

    [Fact]
    public void A_file_of_prompts_that_is_not_there_costs_the_samples_only()
    {
        var notes = new List<string>();
        var (settings, problems) = KohyaArguments.Read([.. Base, "--sample_every_n_steps", "2", "--sample_at_first", "--sample_prompts", "none.txt"], notes: notes);
        settings.Check(problems);
        Assert.Empty(problems.All);
        Assert.Equal((null, false), (settings.Samples.EverySteps, settings.Samples.AtFirst));
        Assert.Contains("No samples are drawn: none.txt is not there.", notes);
    }

    [Theory]
    [InlineData("networks.lora", "2", 2.0, 2.0)]
    [InlineData("networks.lora", "0", null, 0.0)]
    [InlineData("networks.oft", "2", null, false)]
    [InlineData("networks.dylora", "2", null, false)]
    public void A_limit_of_norms_is_switched_off_where_kohya_switches_it_off(string module, string given, double? limit, object told)
    {
        var (settings, problems) = Read("--network_module", module, "--scale_weight_norms", given);
        Assert.Empty(problems.All);
        Assert.Equal((limit, told), (settings.Network.MaxNorm, settings.Kohya!.ScaleWeightNorms));
    }

    [Theory]
    [InlineData("--min_timestep", "500", "--max_timestep", "500")]
    [InlineData("--min_timestep", "1000", "--max_timestep", "0")]
    [InlineData("--multires_noise_iterations", "6", "--multires_noise_discount", "1.5")]
    [InlineData("--min_snr_gamma", "-1", "--ip_noise_gamma", "-0.1")]
    public void What_kohya_computes_with_is_refused_by_a_sound_run_only(params string[] words)
    {
        var (settings, problems) = Read(words);
        Assert.Empty(problems.All);
        settings.Soundly().Check(problems);
        Assert.NotEmpty(problems.All);
    }

    [Fact]
    public void The_last_one_wins_and_names_may_be_cut_short()
    {
        var (settings, problems) = Read("--network_dim", "4", "--network_dim=8", "--max_train_st", "7", "--caption_prefix", "- a, b", "--noise_offset", "-0.5");
        Assert.Equal((8, 7, "- a, b", -0.5), (settings.Network.Rank, settings.Training.Steps, settings.Dataset.Shared.CaptionPrefix, settings.Noise.Offset));
        Assert.Empty(problems.All);
    }

    [Fact]
    public void Lists_go_up_to_the_next_option()
    {
        var (settings, problems) = Read("--network_args", "conv_dim=4", "conv_alpha=2", "--optimizer_args", "weight_decay=0.1", "betas=0.9,0.99", "--text_encoder_lr", "1e-3", "2e-3", "--seed", "3");
        Assert.Empty(problems.All);
        var options = Assert.IsType<AdamWOptions>(settings.Optimizer.Options);
        Assert.Equal((4, 2.0, 0.1, 0.99, 1e-3, 3L), (settings.Network.ConvRank, settings.Network.ConvAlpha, options.WeightDecay, options.Betas[1], settings.Optimizer.TextEncoderLearningRate, settings.Training.Seed));
        Assert.Equal([new("weight_decay", "0.1"), new("betas", "(0.9, 0.99)")], settings.Kohya!.OptimizerArgs);
    }

    [Fact]
    public void Mistakes_are_told_together()
    {
        var (_, problems) = Read("--netwrok_dim", "4", "--save_every_n", "3", "--seed", "x", "--loss_type", "l3", "--network_args", "conv_dim=x", "--v2", "--network_dim", "0");
        Assert.Equal(
            [
                "--netwrok_dim: is not an option of train_network.py. Did you mean 'network_dim'?",
                "--save_every_n: could be --save_every_n_epochs, --save_every_n_steps. Write the name in full.",
                "--seed: is \"x\". Give a whole number.",
                "--loss_type: is \"l3\". Did you mean 'l1' or 'l2'?",
                "--v2: is not supported. SD 2.x is not trained by this version; use an SD 1.x base.",
                "--network_args.conv_dim: is \"x\". Give a whole number.",
                "--network_dim network.rank: is 0. Use 1 to 1024; 16 suits most subjects.",
            ], problems.All.Select(problem => problem.ToString()));
    }

    [Theory]
    [InlineData("networks.lora", "conv_dimm=3", "conv_dimm changes nothing: it is not an argument of networks.lora. Did you mean 'conv_dim'?")]
    [InlineData("networks.lora", "block_alphas=1,2", "block_alphas changes nothing: it is read beside block_dims only.")]
    [InlineData("networks.lora", "conv_block_alphas=1,2", "conv_block_alphas changes nothing")]
    [InlineData("networks.dylora", "rank_dropout=0.1", "rank_dropout changes nothing")]
    [InlineData("networks.oft", "conv_dim=4", "conv_dim changes nothing")]
    [InlineData("lycoris.kohya", "block_dims=1,2", "block_dims changes nothing")]
    public void A_network_argument_that_nobody_reads_is_noted(string module, string argument, string note)
    {
        var notes = new List<string>();
        var (settings, problems) = KohyaArguments.Read([.. Base[..^4], "--network_module", module, "--network_args", argument], notes: notes);
        Assert.DoesNotContain(problems.All, problem => problem.Where.Contains("network_args"));
        Assert.Contains(notes, line => line.Contains(note));
        Assert.Equal(argument.Split('=')[0], Assert.Single(settings.Kohya!.NetworkArgs!).Key);
    }

    [Theory]
    [InlineData("networks.lora", 0.2)]
    [InlineData("networks.lora_fa", 0.2)]
    [InlineData("lycoris.kohya", 0.5)]
    public void An_argument_dropout_is_LyCORIS_alone_to_read(string module, double dropout)
    {
        var (settings, _) = KohyaArguments.Read([.. Base[..^4], "--network_module", module, "--network_dropout", "0.2", "--network_args", "dropout=0.5"]);
        Assert.Equal((dropout, 0.2), (settings.Network.Dropout, settings.Kohya!.NetworkDropout));
    }

    [Theory]
    [InlineData("networks.lora", "--network_dim 2000 --network_args down_lr_weight=-1,1,1,1,1,1,1,1,1,1,1,1")]
    [InlineData("lycoris.kohya", "--network_dim 2000000000 --network_args algo=lokr factor=0")]
    [InlineData("lycoris.kohya", "--network_args algo=lokr factor=-2")]
    [InlineData("lycoris.kohya", "--network_args algo=boft")]
    [InlineData("lycoris.kohya", "--network_args dora_wd=True bypass_mode=True")]
    public void What_the_reference_lets_pass_passes(string module, string words)
    {
        var (settings, problems) = KohyaArguments.Read([.. Base[..^4], "--network_module", module, .. words.Split(' ')]);
        settings.Check(problems);
        Assert.DoesNotContain(problems.All, problem => problem.Where.Contains("network"));
    }

    [Fact]
    public void LoRA_FA_passes_over_LoRA_plus()
    {
        var (settings, problems) = KohyaArguments.Read([.. Base[..^4], "--network_module", "networks.lora_fa", "--network_args", "loraplus_lr_ratio=16"]);
        Assert.Empty(problems.All);
        Assert.Null(settings.Network.LoraPlusRatio);
    }

    [Fact]
    public void An_alpha_of_0_is_each_layers_own_rank()
    {
        var (settings, problems) = Read("--network_alpha", "0", "--network_args", "conv_dim=2", "conv_alpha=0", "block_dims=" + string.Join(',', Enumerable.Repeat(4, 25)), "block_alphas=" + string.Join(',', Enumerable.Repeat(0, 25)));
        Assert.Empty(problems.All);
        Assert.Equal((0.0, 0.0), (settings.Network.Alpha, settings.Network.ConvAlpha));
    }

    [Fact]
    public void A_config_file_fills_what_the_command_line_leaves_out()
    {
        const string file = """
            [network]
            network_dim = 12
            network_args = ["conv_dim=2"]
            [whatever]
            resolution = 640
            shuffle_caption = true
            lr_scheduler = "linear"
            lr_warmup_steps = "5%"
            network_dimm = 3
            """;
        var notes = new List<string>();
        var (settings, problems) = KohyaArguments.Read([.. Base[..4], .. Base[6..], "--config_file", "c", "--network_dim", "6"], read: path => path == "c.toml" ? file : throw new FileNotFoundException(), notes: notes);
        Assert.Equal((6, 2, 640, true, 0.05), (settings.Network.Rank, settings.Network.ConvRank, settings.Dataset.Resolution!.Value.Height, settings.Dataset.Shared.ShuffleCaption, settings.Schedule.Warmup.Share));
        Assert.Empty(problems.All);
        Assert.Equal("c.toml(9,1) network_dimm counts for nothing, as in kohya: it is not an option of train_network.py. Did you mean 'network_dim' or 'network_args'?", Assert.Single(notes));
    }

    private static RunSettings ReadFile(string toml, params string[] more)
    {
        var (settings, problems) = KohyaArguments.Read([.. Base, "--config_file", "c", .. more], read: _ => toml);
        Assert.Empty(problems.All);
        return settings;
    }

    // argparse turns only the words of a command line into an option's kind.
    [Theory]
    [InlineData("learning_rate", "1", "1")]
    [InlineData("learning_rate", "1.0", "1.0")]
    [InlineData("network_alpha", "16", "16")]
    [InlineData("network_dropout", "0", "0")]
    [InlineData("gradient_checkpointing", "1", "1")]
    [InlineData("gradient_checkpointing", "true", "True")]
    public void Whole_numbers_of_a_config_file_stay_whole(string key, string value, string printed)
    {
        var settings = ReadFile($"{key} = {value}");
        object? read = key switch
        {
            "learning_rate" => settings.Optimizer.LearningRate,
            "network_alpha" => settings.Network.Alpha,
            "network_dropout" => settings.Network.Dropout,
            _ => settings.Training.Memory is Levain.Models.MemoryPolicy.Lean,
        };
        Assert.Equal(printed, PythonText.Str(settings.Kohya!.AsGiven(key, read)));
    }

    [Fact]
    public void The_command_line_makes_decimals_of_whole_numbers()
    {
        var settings = ReadFile("network_alpha = 16\nlr_warmup_steps = 0", "--network_alpha", "8", "--lr_warmup_steps", "0");
        Assert.Equal(("8.0", "0.0"), (PythonText.Str(settings.Kohya!.AsGiven("network_alpha", settings.Network.Alpha)), settings.Kohya.WarmupSteps));
        Assert.Equal("0", ReadFile("lr_warmup_steps = 0").Kohya!.WarmupSteps);
    }

    [Fact]
    public void A_config_file_switches_by_numbers_and_may_name_the_usual_length()
    {
        var settings = ReadFile("persistent_data_loader_workers = 1\nshuffle_caption = 0\nmax_token_length = 75\ntext_encoder_lr = [1, 1]");
        Assert.Equal((true, false, 75, true), (settings.Training.PersistentWorkers, settings.Dataset.Shared.ShuffleCaption, settings.Model.MaxTokenLength, settings.Kohya!.ShortCaptionSaid));
        Assert.Equal("1", PythonText.Str(settings.Kohya.AsGiven("text_encoder_lr", settings.Optimizer.TextEncoderLearningRate)));
        Assert.Contains(Read("--max_token_length", "75").Problems.All, problem => problem.Where == "--max_token_length");
    }

    [Theory]
    [InlineData("--wandb_run_name x", null)]
    [InlineData("--huggingface_token x --huggingface_repo_type model --async_upload", null)]
    [InlineData("--huggingface_repo_id a/b", "--huggingface_repo_id")]
    [InlineData("--resume_from_huggingface", null)]
    [InlineData("--resume_from_huggingface --resume a/b", "--resume_from_huggingface")]
    [InlineData("--save_state_to_huggingface", null)]
    [InlineData("--save_state_to_huggingface --save_state", "--save_state_to_huggingface")]
    [InlineData("--log_with tensorboard", "--log_with")]
    [InlineData("--log_with tensorboard --logging_dir l", null)]
    public void What_would_send_nothing_is_let_pass(string words, string? refused)
    {
        var (_, problems) = KohyaArguments.Read([.. Base, .. words.Split(' ')]);
        Assert.Equal(refused is null ? [] : [refused], problems.All.Select(problem => problem.Where));
    }

    [Fact]
    public void A_command_line_may_be_kept_as_a_config_file()
    {
        var (path, text) = KohyaArguments.ConfigFile(["--config_file", "kept", "--output_config", "--network_alpha", "1", "--network_dim", "8", "--lr_warmup_steps", "0", "--unet_lr", "1", "--network_args", "a=b", "--xformers", "--wandb_api_key", "k"], KohyaArguments.Trainer)!.Value;
        Assert.Equal(("kept.toml", "network_dim = 8\nunet_lr = 1.0\nnetwork_args = [\"a=b\"]\nxformers = true\n"), (path, text));
        Assert.Null(KohyaArguments.ConfigFile(["--output_config"], KohyaArguments.Trainer));
        Assert.Throws<SettingsException>(() => KohyaArguments.ConfigFile(["--config_file", "kept", "--output_config", "--none"], KohyaArguments.Trainer));
    }

    // The kohya_ss form writes an empty list for a plain LoRA.
    [Fact]
    public void An_empty_list_of_network_arguments_is_none() => Assert.Null(ReadFile("network_args = []").Kohya!.NetworkArgs);

    [Fact]
    public void Choices_bind_the_command_line_only_where_nothing_depends_on_them()
    {
        Assert.Contains(Read("--dynamo_backend", "no").Problems.All, problem => problem.Where == "--dynamo_backend");
        ReadFile("dynamo_backend = \"no\"");
    }

    // The form's word for "as the base" is none that kohya knows.
    [Fact]
    public void A_config_file_may_name_any_form_of_a_whole_model()
    {
        var (settings, problems) = KohyaArguments.Read(["--pretrained_model_name_or_path", "m.safetensors", "--train_data_dir", "d", "--config_file", "c"], "train_db.py", _ => "save_model_as = \"same as source model\"");
        Assert.Empty(problems.All);
        Assert.Equal(ResultFormat.DiffusersBin, settings.Output.Format);
    }

    [Fact]
    public void A_thumbnail_may_be_a_data_url_or_missing()
    {
        var settings = Read("--metadata_thumbnail", "data:image/png;base64,AAAA").Settings;
        Assert.Equal("data:image/png;base64,AAAA", settings.Output.Thumbnail);
        Assert.Contains("thumbnail = \"data:image/png;base64,AAAA\"", settings.ToToml(Environment.CurrentDirectory));
        var (without, problems) = Read("--metadata_thumbnail", "missing.png");
        Assert.Empty(problems.All);
        Assert.Null(without.Output.Thumbnail);
    }

    [Fact]
    public void A_refused_option_is_let_pass_where_it_asks_for_nothing() => Assert.Empty(Read("--validation_split", "0.0", "--lr_scheduler_type", "").Problems.All);

    [Fact]
    public void Every_option_is_named_once_and_says_something()
    {
        foreach (var trainer in KohyaTrainerNames.All.Keys)
        {
            var own = KohyaOptions.All.Where(option => option.Of.HasFlag(trainer)).Select(option => option.Name).ToList();
            Assert.Equal(own.Distinct(), own);
        }
        Assert.All(KohyaOptions.All, option => Assert.True(option.Says.Length > 0 && (option.Standing == OptionStanding.Supported || option.Says.EndsWith('.')), option.Name));
    }
}
