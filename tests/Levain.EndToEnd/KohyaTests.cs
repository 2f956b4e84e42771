using System.Text.Json;
using Xunit;

namespace Levain.EndToEnd;

/// <summary>kohya's own words, as people paste them.</summary>
public sealed class KohyaTests
{
    [Fact]
    public void A_pasted_command_line_with_a_config_file_bakes_a_lora()
    {
        using var run = new SmallRun();
        Arrange(run);
        File.WriteAllText(Path.Combine(run.Folder, "config.toml"), $"""
            [model_arguments]
            pretrained_model_name_or_path = "{SmallRun.Base}"
            [dataset_arguments]
            train_data_dir = "train"
            resolution = "64,64"
            cache_latents = true
            [training_arguments]
            max_train_steps = 9
            output_dir = "out"
            learning_rate = 1e-4
            """);
        var outcome = LevainProcess.Run(run.Folder, "kohya", "--threads", "1", "accelerate", "launch", "--num_cpu_threads_per_process", "1", "./train_network.py",
            "--config_file", "config.toml", "--network_module=networks.lora", "--network_dim=4", "--network_alpha", "2", "--max_train_steps", "2", "--output_name", "pasted",
            "--optimizer_type", "AdamW8bit", "--optimizer_args", "weight_decay=0.1", "betas=0.9,0.99", "--seed", "3", "--xformers", "--save_precision", "fp16", "--min_snr", "5");
        Assert.True(outcome.Code == 0, outcome.ToString());
        var file = Path.Combine(run.Folder, "out", "pasted.safetensors");
        Assert.Equal(file, outcome.Output.Trim());

        var metadata = Metadata(file);
        Assert.Equal(("4", "2.0", "2"), (metadata.GetProperty("ss_network_dim").GetString(), metadata.GetProperty("ss_network_alpha").GetString(), metadata.GetProperty("ss_steps").GetString()));
        Assert.Equal("5.0", metadata.GetProperty("ss_min_snr_gamma").GetString());
        Assert.Equal("bitsandbytes.optim.adamw.AdamW8bit(weight_decay=0.1,betas=(0.9, 0.99))", metadata.GetProperty("ss_optimizer").GetString());
    }

    [Fact]
    public void What_cannot_be_is_told_all_at_once_with_the_nearest_option_and_exits_with_2()
    {
        var refused = LevainProcess.Run(".", "kohya", "train_network", "--pretrained_model_name_or_path", "nowhere.safetensors", "--train_data_dir", "nothing", "--network_module", "networks.lora", "--network_dmi", "8", "--log_with", "wandb");
        Assert.Equal(2, refused.Code);
        Assert.Contains("--network_dmi: is not an option of train_network.py. Did you mean 'network_dim'?", refused.Error);
        Assert.Contains("--log_with: is wandb, which is not supported. Use tensorboard", refused.Error);
        Assert.Empty(refused.Output);
    }

    [Fact]
    public void A_trainer_that_is_not_there_exits_with_2_and_names_those_that_are()
    {
        var refused = LevainProcess.Run(".", "kohya", "sdxl_train_network", "--network_module", "networks.lora");
        Assert.Equal(2, refused.Code);
        Assert.Contains("train_network", refused.Error);
    }

    [Fact]
    public void A_preset_of_the_form_becomes_a_run_file_that_checks()
    {
        using var run = new SmallRun();
        Arrange(run);
        File.WriteAllText(Path.Combine(run.Folder, "preset.json"), JsonSerializer.Serialize(new Dictionary<string, object>
        {
            ["LoRA_type"] = "LyCORIS/LoHa",
            ["pretrained_model_name_or_path"] = SmallRun.Base,
            ["train_data_dir"] = "train",
            ["output_dir"] = "out",
            ["output_name"] = "preset",
            ["max_resolution"] = "64,64",
            ["enable_bucket"] = false,
            ["network_dim"] = 8,
            ["network_alpha"] = 1,
            ["optimizer"] = "Prodigy",
            ["learning_rate"] = 1,
            ["lr_scheduler"] = "cosine",
            ["epoch"] = 1,
            ["max_train_steps"] = "12",
            ["seed"] = "5",
            ["mixed_precision"] = "no",
        }));
        var imported = LevainProcess.Run(run.Folder, "import", "preset.json", "-o", "preset.toml");
        Assert.True(imported.Code == 0, imported.ToString());
        var text = File.ReadAllText(Path.Combine(run.Folder, "preset.toml"));
        Assert.Contains("family = \"loha\"", text);
        Assert.Contains("type = \"Prodigy\"", text);
        var check = LevainProcess.Run(run.Folder, "check", "preset.toml", "--json");
        Assert.True(check.Code == 0, check.ToString());

        Assert.Equal(2, LevainProcess.Run(run.Folder, "import", "nothing.json").Code);
    }

    [Fact]
    public void A_search_for_block_rates_leaves_a_plot_and_lines_and_nothing_else()
    {
        using var run = new SmallRun();
        var found = LevainProcess.Run(run.Folder, "block-rates", "run.toml", "--set", "dataset.validation_split=0.2", "--set", "network.rank=2", "--set", "training.gradient_accumulation=1", "--steps", "1", "--blocks", "M00", "--json", "--threads", "1");
        Assert.True(found.Code == 0, found.ToString());
        var told = JsonDocument.Parse(found.Output).RootElement;
        Assert.Equal(25, told.GetProperty("weights").GetArrayLength());
        Assert.Contains("caching latents", found.Error);
        Assert.Equal("M00", told.GetProperty("blocks")[0].GetProperty("block").GetString());
        Assert.Equal(["block-rates.png", "pictures", "run.toml"], Directory.EnumerateFileSystemEntries(run.Folder).Select(Path.GetFileName).Order(StringComparer.Ordinal));
    }

    // kohya reads repeats from folder names.
    private static void Arrange(SmallRun run)
    {
        Directory.CreateDirectory(Path.Combine(run.Folder, "train"));
        Directory.Move(Path.Combine(run.Folder, "pictures"), Path.Combine(run.Folder, "train", "1_mochi"));
    }

    private static JsonElement Metadata(string file)
    {
        var bytes = File.ReadAllBytes(file);
        return JsonDocument.Parse(bytes.AsMemory(8, (int)BitConverter.ToInt64(bytes))).RootElement.GetProperty("__metadata__");
    }
}
