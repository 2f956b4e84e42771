using System.Text.Json;
using Levain.Core;
using Levain.Tests.Data;
using Levain.Training.Kohya;
using Levain.Training.Settings;
using Xunit;

namespace Levain.Tests.Training.Kohya;

public sealed class GuiPresetTests
{
    private static GuiPreset Preset(object fields) => GuiPreset.Read(JsonSerializer.Serialize(fields), "p.json");

    private static RunSettings Run(GuiPreset preset)
    {
        var (settings, problems) = KohyaArguments.Read(preset.Arguments, preset.Trainer.FileName(), preset.ReadFile);
        settings.Check(problems);
        Assert.Empty(problems.All);
        return settings;
    }

    [Theory]
    [InlineData(-1, false, null)]
    [InlineData(40, true, 40)]
    [InlineData(0, true, null)]
    public void DreamBooths_page_hands_on_when_its_text_encoder_stops(int stop, bool trains, int? at)
    {
        var run = Run(Preset(new { pretrained_model_name_or_path = "m.safetensors", train_data_dir = "d", learning_rate = 1e-5, max_train_steps = 400, mixed_precision = "no", stop_text_encoder_training = stop }));
        Assert.Equal((Trains.Model, trains, at), (run.Trains, run.FineTune.TextEncoder, run.Optimizer.TextEncoderStop?.Steps));
    }

    [Fact]
    public void Fields_become_the_settings_that_the_form_starts_with()
    {
        var preset = Preset(new
        {
            LoRA_type = "Kohya LoCon",
            network_dim = 32,
            network_alpha = "16",
            conv_dim = 8,
            conv_alpha = 4,
            unet_lr = 2e-4,
            text_encoder_lr = 5e-5,
            optimizer = "AdamW",
            optimizer_args = "weight_decay=0.1 betas=0.9,0.99",
            lr_scheduler = "cosine_with_restarts",
            lr_scheduler_num_cycles = "",
            lr_warmup = 5,
            epoch = 8,
            max_train_steps = 400,
            train_data_dir = "pictures",
            pretrained_model_name_or_path = "m.safetensors",
            max_resolution = "512,768",
            max_token_length = "225",
            min_snr_gamma = 5,
            seed = 7,
            sample_prompts = "a cat --n bad\n",
            sample_every_n_epochs = 1,
            down_lr_weight = "0,0,0,0,0,0,1,1,1,1,1, 1",
            additional_parameters = "--keep_tokens_separator=|||",
        });
        var run = Run(preset);
        Assert.Equal((32, 16.0, 8, 4.0, 2e-4, 5e-5), (run.Network.Rank, run.Network.Alpha, run.Network.ConvRank, run.Network.ConvAlpha, run.Optimizer.UnetLearningRate, run.Optimizer.TextEncoderLearningRate));
        Assert.Equal((0.05, 8, 400, 7L, 225), (run.Schedule.Warmup.Share, run.Schedule.Cycles, run.Training.Steps, run.Training.Seed, run.Model.MaxTokenLength));
        Assert.Equal((new PixelSize(512, 768), ".txt", "|||", 5.0), (run.Dataset.Resolution!.Value, run.Dataset.Shared.CaptionExtension, run.Dataset.Shared.KeepTokensSeparator, run.Loss.MinSnrGamma));
        Assert.Equal(("a cat", "bad"), (run.Samples.Prompts[0].Prompt, run.Samples.Prompts[0].Negative));
        Assert.Equal(Precision.Fp16, run.Training.Precision);             // the form's own first values
        Assert.Equal(LatentCache.Memory, run.Cache.Latents);
    }

    [Fact]
    public void A_rate_of_zero_leaves_its_half_untrained() =>
        Assert.Equal(TrainedPart.Unet, Run(Preset(new { LoRA_type = "Standard", optimizer = "AdamW", text_encoder_lr = 0, unet_lr = 1e-4, train_data_dir = "d", pretrained_model_name_or_path = "m" })).Network.Train);

    // Python rounds halves to even; without a dataset file the form hands a share over.
    [Fact]
    public void A_share_of_a_known_length_is_rounded_where_a_dataset_file_is_named()
    {
        Assert.Contains("--lr_warmup_steps=126", Preset(new { LoRA_type = "Standard", lr_warmup = 10, max_train_steps = 1255, dataset_config = "d.toml" }).Arguments);
        Assert.Contains("--lr_warmup_steps=124", Preset(new { LoRA_type = "Standard", lr_warmup = 10, max_train_steps = 1245, dataset_config = "d.toml" }).Arguments);
        Assert.Contains("--lr_warmup_steps=0.1", Preset(new { LoRA_type = "Standard", lr_warmup = 10, max_train_steps = 1255 }).Arguments);
    }

    [Fact]
    public void A_fine_tune_preset_is_known_by_its_repeats_and_halves_its_steps_with_flips()
    {
        var preset = Preset(new { learning_rate = 1e-6, dataset_repeats = 10, flip_aug = true, max_train_steps = 7 });
        Assert.Equal(KohyaTrainers.FineTune, preset.Trainer);
        Assert.Contains("--max_train_steps=4", preset.Arguments);
    }

    [Fact]
    public void DreamBooth_hands_over_where_the_text_encoder_stops_as_a_step()
    {
        Assert.Contains("--stop_text_encoder_training=50", Preset(new { learning_rate = 1e-6, stop_text_encoder_training = 50, max_train_steps = 10 }).Arguments);
        Assert.DoesNotContain(Preset(new { token_string = "x", learning_rate = 1e-6, stop_text_encoder_training = 50 }).Arguments, word => word.StartsWith("--stop"));
    }

    [Fact]
    public void A_warm_up_stays_where_the_schedule_is_named_by_hand() =>
        Assert.Contains("--lr_warmup_steps=0.1", Preset(new { LoRA_type = "Standard", lr_scheduler = "constant", lr_warmup = 10, additional_parameters = "--lr_scheduler linear" }).Arguments);

    [Fact]
    public void Both_kinds_of_noise_are_handed_over_but_on_the_page_of_LoRAs()
    {
        var words = Preset(new { learning_rate = 1e-6, noise_offset_type = "Original", noise_offset = 0.1, multires_noise_iterations = 6 }).Arguments;
        Assert.Contains("--noise_offset=0.1", words);
        Assert.Contains("--multires_noise_iterations=6", words);
    }

    [Fact]
    public void What_is_dropped_or_changed_is_told()
    {
        var preset = Preset(new { LoRA_type = "Standard", noise_offset_type = "Multires", noise_offset = 0.1, multires_noise_iterations = 6, huggingface_repo_id = "a/b", wandb_api_key = "k", epoch = 3, t5xxl_device = "cpu", gpu_ids = "0", enable_bucket = false });
        Assert.Equal(
            [
                "epoch = 3 counts for nothing, as in the form: max_train_steps = 1600 decides.",
                "noise_offset = 0.1 counts for nothing: noise_offset_type is Multires.",
                "seed was 0: a seed is drawn for each run.",
                "huggingface_repo_id is dropped. Upload the finished file yourself: Levain never sends anything anywhere.",
                "Dropped, as they are for other models or for the form itself: t5xxl_device.",
            ], preset.Notes);
    }

    [Fact]
    public void LyCORIS_kinds_are_told_every_argument_false_ones_too()
    {
        var words = Preset(new { LoRA_type = "LyCORIS/LoKr", factor = 6, decompose_both = true, conv_dim = 4, conv_alpha = 2, loraplus_lr_ratio = 4 }).Arguments.ToList();
        Assert.Contains("--network_module=lycoris.kohya", words);
        Assert.Equal("algo=lokr preset=full conv_dim=4 conv_alpha=2 rank_dropout=0 module_dropout=0 use_tucker=False train_norm=False bypass_mode=False dora_wd=False factor=6 use_cp=False use_scalar=False decompose_both=True rank_dropout_scale=False loraplus_lr_ratio=4",
            string.Join(' ', words.SkipWhile(word => word != "--network_args").Skip(1).TakeWhile(word => !word.StartsWith("--"))));
    }

    [Fact]
    public void Steps_of_zero_are_counted_from_the_pictures()
    {
        using var folder = new TemporaryFolder();
        foreach (var (sub, count) in new[] { ("3_cat", 4), ("2_dog", 1), ("none", 5) })
            for (var i = 0; i < count; i++)
            {
                Directory.CreateDirectory(Path.Combine(folder.Path, sub));
                File.WriteAllText(Path.Combine(folder.Path, sub, $"{i}.PNG"), "");
            }
        var words = Preset(new { LoRA_type = "Standard", max_train_steps = 0, epoch = 2, train_batch_size = 3, train_data_dir = folder.Path, reg_data_dir = "r" }).Arguments;
        Assert.Contains("--max_train_steps=19", words);             // (3·4 + 2·1) ÷ 3 × 2 × 2, rounded up
    }

    [Fact]
    public void Presets_of_old_and_of_other_models_are_known()
    {
        Assert.Contains("--optimizer_type=AdamW8bit", Preset(new { LoRA_type = "LoCon", use_8bit_adam = true, learning_rate = "1e-4" }).Arguments);
        Assert.Contains("--network_module=lycoris.kohya", Preset(new { LoRA_type = "LoCon", learning_rate = "1e-4" }).Arguments);
        Assert.Contains("is for another family of models (sdxl)", Assert.Throws<SettingsException>(() => Preset(new { LoRA_type = "Standard", sdxl = true })).Message);
        Assert.Contains("is no JSON object", Assert.Throws<SettingsException>(() => GuiPreset.Read("{", "p.json")).Message);
        Assert.Contains("has none of the fields", Assert.Throws<SettingsException>(() => GuiPreset.Read("""{"a":1}""", "p.json")).Message);
    }
}
