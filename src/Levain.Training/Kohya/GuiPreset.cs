using System.Globalization;
using System.Text.Json;
using Levain.Core;

namespace Levain.Training.Kohya;

/// <summary>A preset of the kohya_ss form: a flat JSON object of the form's fields, and the call of kohya's trainer that its Start button makes of it.</summary>
/// <remarks>
/// bmaltais/kohya_ss 45088f0, <c>kohya_gui/*_gui.py::train_model</c>. The form drops every empty field, every false and every 0, so that a 0 means what the
/// trainer does without the option. Fields that a preset lacks have the form's own first value.
/// </remarks>
public sealed partial class GuiPreset
{
    /// <summary>What <c>--sample_prompts</c> names where the preset holds prompts itself; <see cref="ReadFile"/> gives their text.</summary>
    private const string PromptsName = "(the preset's sample prompts)";

    private readonly Dictionary<string, object?> fields;
    private readonly HashSet<string> used = [];
    private readonly List<string> words = [], notes = [];

    private GuiPreset(Dictionary<string, object?> fields)
    {
        this.fields = fields;
        Trainer = fields.ContainsKey("LoRA_type") ? KohyaTrainers.Network
            : fields.ContainsKey("token_string") ? KohyaTrainers.TextualInversion
            : fields.Keys.Any(name => name is "image_folder" or "train_dir" or "full_path" or "dataset_repeats") ? KohyaTrainers.FineTune
            : KohyaTrainers.DreamBooth;
    }

    /// <summary>Which trainer the preset's page of the form starts.</summary>
    public KohyaTrainers Trainer { get; }

    /// <summary>The words behind the trainer's name.</summary>
    public IReadOnlyList<string> Arguments => words;

    /// <summary>What was dropped or changed on the way, one sentence each.</summary>
    public IReadOnlyList<string> Notes => notes;

    /// <summary>Reads a preset.</summary>
    /// <param name="json">Text of the file.</param>
    /// <param name="name">File name for messages.</param>
    /// <exception cref="SettingsException">It is no JSON object, or a preset of another family of models.</exception>
    public static GuiPreset Read(string json, string name)
    {
        var fields = new Dictionary<string, object?>();
        try
        {
            using var document = JsonDocument.Parse(json);
            foreach (var field in document.RootElement.EnumerateObject()) fields[field.Name] = Value(field.Value);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            throw new SettingsException([new(name, $"is no JSON object: {exception.Message.TrimEnd('.')}.", "Give a preset that the kohya_ss form saved.")]);
        }
        if (!fields.ContainsKey("pretrained_model_name_or_path") && !fields.ContainsKey("learning_rate") && !fields.ContainsKey("LoRA_type"))
            throw new SettingsException([new(name, "has none of the fields of a kohya_ss preset.", "Give a JSON file that the kohya_ss form saved; kohya's own TOML goes to levain kohya train_network --config_file.")]);
        var preset = new GuiPreset(fields);
        preset.Migrate();
        preset.RefuseOthers(name);
        preset.Translate();
        return preset;
    }

    /// <summary>Reads a file that the call names: the preset's own prompts, or one on disk.</summary>
    public string ReadFile(string path) => path == PromptsName ? Text("sample_prompts") : File.ReadAllText(path);

    // What the form does with files of its older versions.
    private void Migrate()
    {
        if (!fields.ContainsKey("optimizer")) fields["optimizer"] = fields.ContainsKey("use_8bit_adam") ? Flag("use_8bit_adam") ? "AdamW8bit" : "AdamW" : FirstValue("optimizer");
        if (Text("LoRA_type") == "LoCon") fields["LoRA_type"] = "LyCORIS/LoCon";
        if (fields.GetValueOrDefault("xformers") is bool frugal) fields["xformers"] = frugal ? "xformers" : "none";
        if (fields.Remove("lora_network_weights", out var weights)) fields.TryAdd("network_weights", weights);
        if (fields.Remove("use_wandb", out var wandb) && wandb is true or "True") fields.TryAdd("log_with", "wandb");
        used.UnionWith(["use_8bit_adam", "LoRA_type", "xformers"]);
    }

    private void RefuseOthers(string name)
    {
        var others = new[] { "sdxl", "sd3_checkbox", "flux1_checkbox", "hunyuan_image_checkbox", "anima_checkbox", "lumina_checkbox" }.Where(Flag).ToList();
        if (others.Count > 0) throw new SettingsException([new(name, $"is for another family of models ({string.Join(", ", others)}).", "Give a preset for an SD 1.x base.")]);
    }

    private void Translate()
    {
        Length();
        Rates();
        if (Trainer is KohyaTrainers.Network) Network();
        Noise();
        Rest();
        Same();
        if (Text("additional_parameters") is { Length: > 0 } more)
        {
            words.AddRange(Split(more));
            notes.Add($"additional_parameters go before the fields: {more}");
        }
        used.Add("additional_parameters");
        NameLeftovers();
    }

    // Steps and epochs: what the form computes where max_train_steps is 0, else as given.
    private void Length()
    {
        var (steps, epochs, epoch) = (Number("max_train_steps"), Number("max_train_epochs"), Math.Max(1, Number("epoch")));
        used.UnionWith(["max_train_steps", "max_train_epochs", "epoch"]);
        if (epochs > 0) Add("max_train_epochs", epochs);
        var halved = Trainer is KohyaTrainers.FineTune && Flag("flip_aug") && Text("dataset_config").Length == 0;
        if (steps > 0)
        {
            Add("max_train_steps", halved ? Math.Ceiling(steps / 2) : steps);
            if (halved) notes.Add($"max_train_steps = {Shown(steps)} is halved, as the form does with flip_aug.");
            if (epochs == 0 && epoch > 1) notes.Add($"epoch = {Shown(epoch)} counts for nothing, as in the form: max_train_steps = {Shown(steps)} decides.");
            return;
        }
        if (epochs > 0 || Text("dataset_config").Length > 0) return;
        if (CountedSteps(epoch) is { } counted)
        {
            counted = halved ? Math.Ceiling(counted / 2) : counted;
            Add("max_train_steps", counted);
            notes.Add($"max_train_steps was 0: the form counts pictures × repeats ÷ batch × epochs, which gives {Shown(counted)}.");
            return;
        }
        Add("max_train_epochs", epoch);
        notes.Add($"max_train_steps was 0 and the pictures are not here to be counted as the form does: the run has {Shown(epoch)} epochs.");
    }

    private double? CountedSteps(double epoch)
    {
        var listed = Trainer is KohyaTrainers.FineTune;
        var folder = Text(listed ? "image_folder" : "train_data_dir");
        if (!Directory.Exists(folder)) return null;
        var pictures = listed ? Number("dataset_repeats") * Pictures(folder) : Directory.EnumerateDirectories(folder).Sum(sub => Repeats(Path.GetFileName(sub)) * Pictures(sub));
        var perStep = Math.Max(1, Number("train_batch_size")) * Math.Max(1, Number("gradient_accumulation_steps"));
        return pictures == 0 ? null : Math.Ceiling(pictures / perStep * epoch * (Text("reg_data_dir").Length > 0 ? 2 : 1));
    }

    private static int Repeats(string folder) => int.TryParse(folder.Split('_')[0], NumberStyles.None, CultureInfo.InvariantCulture, out var repeats) ? repeats : 0;

    private static double Pictures(string folder) => Directory.EnumerateFiles(folder).Count(IsCounted);

    private static bool IsCounted(string file) => Path.GetExtension(file).ToLowerInvariant() is ".jpg" or ".jpeg" or ".png" or ".webp";

    private void Rates()
    {
        var (warmup, share) = (Number("lr_warmup_steps"), Number("lr_warmup"));
        used.UnionWith(["lr_warmup_steps", "lr_warmup"]);
        if (Text("lr_scheduler") == "constant" && !Text("additional_parameters").Contains("--lr_scheduler") && (warmup > 0 || share > 0)) notes.Add("The warm-up is left out: the scheduler is constant, which has none.");
        else if (warmup > 0) Add("lr_warmup_steps", Math.Truncate(warmup));
        else if (share > 0 && Trainer is KohyaTrainers.Network && Text("dataset_config").Length > 0 && Number("max_train_steps") is > 0 and var steps) Add("lr_warmup_steps", Math.Round(share * Math.Truncate(steps) / 100));
        else if (share > 0) Add("lr_warmup_steps", share / 100);
        Add("lr_scheduler_num_cycles", Text("lr_scheduler_num_cycles") == "" ? Math.Max(1, Number("epoch")) : Number("lr_scheduler_num_cycles"));
        Add("optimizer_type", fields["optimizer"]);
        used.UnionWith(["optimizer", "lr_scheduler_num_cycles"]);
        List("optimizer_args");
        List("lr_scheduler_args");
        if (Trainer is not KohyaTrainers.Network) return;
        var (unet, text) = (Number("unet_lr"), Number("text_encoder_lr"));
        used.UnionWith(["unet_lr", "text_encoder_lr"]);
        if (unet != 0) Add("unet_lr", unet);
        if (text != 0) Add("text_encoder_lr", text);
        if (text == 0 && unet != 0) words.Add("--network_train_unet_only");
        if (unet == 0 && text != 0) words.Add("--network_train_text_encoder_only");
    }

    // A preset holds both kinds of noise; on the page of LoRAs only the chosen one counts, the others hand both over.
    private void Noise()
    {
        var multires = Text("noise_offset_type") == "Multires";
        used.UnionWith(["noise_offset_type", "noise_offset", "adaptive_noise_scale", "noise_offset_random_strength", "multires_noise_iterations", "multires_noise_discount"]);
        if (Trainer is not KohyaTrainers.Network)
        {
            foreach (var name in new[] { "noise_offset", "adaptive_noise_scale", "noise_offset_random_strength", "multires_noise_iterations", "multires_noise_discount" }) Given(name);
            return;
        }
        foreach (var name in multires ? new[] { "multires_noise_iterations", "multires_noise_discount" } : ["noise_offset", "adaptive_noise_scale", "noise_offset_random_strength"]) Given(name);
        if (multires && Number("noise_offset") != 0) notes.Add($"noise_offset = {Text("noise_offset")} counts for nothing: noise_offset_type is Multires.");
        if (!multires && Number("multires_noise_iterations") != 0) notes.Add($"multires_noise_iterations = {Text("multires_noise_iterations")} counts for nothing: noise_offset_type is Original.");
    }

    private void Rest()
    {
        Renamed("max_resolution", "resolution");
        Renamed("image_folder", "train_data_dir");
        if (Trainer is KohyaTrainers.FineTune)
        {
            used.UnionWith(["train_dir", "caption_metadata_filename", "latent_metadata_filename", "use_latent_files"]);
            Add("in_json", Path.Combine(Text("train_dir"), Text(Text("use_latent_files") == "Yes" ? "latent_metadata_filename" : "caption_metadata_filename")));
            Add("enable_bucket", true);
            used.Add("enable_bucket");
        }
        if (Text("xformers") is "xformers" or "sdpa") Add(Text("xformers"), true);
        if (Text("template") is "object template") words.Add("--use_object_template");
        if (Text("template") is "style template") words.Add("--use_style_template");
        used.Add("template");
        // A token count of 75 is what the trainer does without the option, and it takes no such number.
        if (Number("max_token_length") > 75) Add("max_token_length", Number("max_token_length"));
        if (Text("sample_prompts").Trim().Length > 0) Add("sample_prompts", PromptsName);
        // Percent on the form's page for DreamBooth, which hands the number over as a step; the other pages drop it.
        if (Number("stop_text_encoder_training") is not 0 and var stop)
        {
            if (Trainer is KohyaTrainers.DreamBooth) Add("stop_text_encoder_training", stop);
            notes.Add(Trainer is KohyaTrainers.DreamBooth ? $"stop_text_encoder_training = {Shown(stop)} is a step and no percentage: the form hands it over as it is." : "stop_text_encoder_training counts for nothing, as in the form.");
        }
        Add("max_data_loader_n_workers", Number("max_data_loader_n_workers"));
        Add("max_timestep", Number("max_timestep"));
        if (Text("save_model_as") is { Length: > 0 } form)
            Add("save_model_as", Trainer is KohyaTrainers.DreamBooth or KohyaTrainers.FineTune ? form == "same as source model" ? null : form : form is "ckpt" or "pt" ? form : "safetensors");
        used.UnionWith(["max_token_length", "sample_prompts", "stop_text_encoder_training", "max_data_loader_n_workers", "max_timestep", "save_model_as"]);
        if (Number("seed") == 0) notes.Add("seed was 0: a seed is drawn for each run.");
        if (Flag("bucket_no_upscale") && Flag("enable_bucket")) notes.Add($"bucket_no_upscale is on, so min_bucket_reso and max_bucket_reso count for nothing, as in the form.");
    }

    // Everything that has the trainer's own name.
    private void Same()
    {
        foreach (var option in KohyaOptions.All.Where(option => option.Of.HasFlag(Trainer) && !used.Contains(option.Name)))
        {
            if (!fields.ContainsKey(option.Name) && FirstValue(option.Name) is null) continue;
            used.Add(option.Name);
            if (option.Standing is OptionStanding.Supported || option.Name is "v2") Given(option.Name);
            else if (Has(option.Name) && option.Standing is OptionStanding.Refused) notes.Add($"{option.Name} is dropped. {option.Says}");
        }
    }

    private void NameLeftovers()
    {
        var left = fields.Keys.Where(name => !used.Contains(name) && !OfTheForm.Contains(name) && Has(name)).Order(StringComparer.Ordinal).ToList();
        if (left.Count > 0) notes.Add($"Dropped, as they are for other models or for the form itself: {string.Join(", ", left)}.");
        if (Text("mixed_precision") == "fp8") notes.Add("mixed_precision fp8 is not known to the trainer.");
    }

    // Fields of the form's own doing, without a meaning for a run.
    private static readonly HashSet<string> OfTheForm = ["num_cpu_threads_per_process", "num_processes", "num_machines", "multi_gpu", "gpu_ids", "main_process_port", "dynamo_mode",
        "dynamo_use_dynamic", "dynamo_use_fullgraph", "extra_accelerate_launch_args", "model_list", "sdxl", "lowvram", "wandb_run_name", "huggingface_token", "wandb_api_key"];

    private void Renamed(string field, string option)
    {
        if (used.Add(field) && Has(field))
        {
            Add(option, fields.GetValueOrDefault(field) ?? FirstValue(field));
            used.Add(option);
        }
    }

    private void List(string name)
    {
        used.Add(name);
        if (Split(Text(name)) is { Count: > 0 } items) words.AddRange([$"--{name}", .. items]);
    }

    private static List<string> Split(string text) => [.. text.Replace("\"", "").Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)];

    // A field under its own name, where it is not empty, false or 0.
    private void Given(string name)
    {
        if (Has(name)) Add(name, fields.TryGetValue(name, out var value) ? value : FirstValue(name));
    }

    private void Add(string option, object? value)
    {
        if (value is null or "" or false or 0.0 && option != "max_data_loader_n_workers") return;
        if (KohyaOptions.Find(option, Trainer) is { Kind: OptionKind.Flag }) words.Add($"--{option}");
        else words.Add($"--{option}={Shown(value)}");
    }

    private bool Has(string name) => (fields.TryGetValue(name, out var value) ? value : FirstValue(name)) is not (null or "" or false or 0.0) && Text(name) is not ("0" or "False");

    private bool Flag(string name) => (fields.TryGetValue(name, out var value) ? value : FirstValue(name)) is true or "True" or "true" or 1.0;

    private string Text(string name) => Shown(fields.TryGetValue(name, out var value) ? value : FirstValue(name));

    // A text that is no number counts as 0, as in the form.
    private double Number(string name) => (fields.TryGetValue(name, out var value) ? value : FirstValue(name)) switch
    {
        double number => number,
        string text => double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var read) ? read : 0,
        true => 1,
        _ => 0,
    };

    private static string Shown(object? value) => value switch
    {
        null => "",
        bool flag => flag ? "True" : "False",
        double number => number.ToString("R", CultureInfo.InvariantCulture),
        _ => value.ToString()!,
    };

    private static object? Value(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => value.GetString(),
        JsonValueKind.Number => value.GetDouble(),
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        JsonValueKind.Array => string.Join(' ', value.EnumerateArray().Select(item => item.ToString())),
        _ => null,
    };
}
