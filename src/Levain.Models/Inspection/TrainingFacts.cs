using System.Globalization;
using System.Text.Json;
using Levain.Core;

namespace Levain.Models.Inspection;

/// <summary>One line of what the metadata tells.</summary>
/// <param name="Name">What it is about, in words.</param>
/// <param name="Value">What is said.</param>
public sealed record Fact(string Name, string Value);

/// <summary>Turns kohya's <c>ss_*</c> and Stability's <c>modelspec.*</c> keys into readable lines.</summary>
internal static class TrainingFacts
{
    private const int TagsShown = 12;
    private const string None = "None"; // how kohya writes what was not given

    // In the order in which one asks.
    private static readonly (string Name, string[] Keys)[] Plain =
    [
        ("title", ["modelspec.title", "ss_output_name", "name"]),
        ("author", ["modelspec.author"]),
        ("description", ["modelspec.description"]),
        ("trigger words", ["modelspec.trigger_phrase"]),
        ("license", ["modelspec.license"]),
        ("comment", ["ss_training_comment"]),
        ("architecture", ["modelspec.architecture"]),
        ("trained on", ["ss_sd_model_name", "sd_checkpoint_name"]),
        ("base version", ["ss_base_model_version"]),
        ("prediction", ["modelspec.prediction_type"]),
        ("network module", ["ss_network_module"]),
        ("network arguments", ["ss_network_args"]),
        ("resolution", ["ss_resolution", "modelspec.resolution"]),
        ("pictures × repeats", ["ss_num_train_images"]),
        ("regularization pictures", ["ss_num_reg_images"]),
        ("steps", ["ss_steps", "ss_max_train_steps", "step"]),
        ("epochs", ["ss_epoch", "ss_num_epochs"]),
        ("batch size", ["ss_total_batch_size", "ss_batch_size_per_device"]),
        ("optimizer", ["ss_optimizer"]),
        ("learning rate", ["ss_learning_rate"]),
        ("U-Net rate", ["ss_unet_lr"]),
        ("text encoder rate", ["ss_text_encoder_lr"]),
        ("schedule", ["ss_lr_scheduler"]),
        ("min-SNR gamma", ["ss_min_snr_gamma"]),
        ("noise offset", ["ss_noise_offset"]),
        ("clip skip", ["ss_clip_skip"]),
        ("precision", ["ss_mixed_precision"]),
        ("seed", ["ss_seed"]),
        ("trainer", ["modelspec.implementation_version", "ss_sd_scripts_commit_hash"]),
    ];

    public static IReadOnlyList<Fact> Of(IReadOnlyDictionary<string, string> metadata)
    {
        var facts = new List<Fact>();
        foreach (var (name, keys) in Plain)
        {
            if (keys.Select(key => metadata.GetValueOrDefault(key)).FirstOrDefault(value => value is { Length: > 0 } and not None) is { } value) facts.Add(new(name, value));
        }
        if (Seconds("ss_training_started_at") is { } start)
        {
            var began = DateTimeOffset.UnixEpoch.AddSeconds(start);
            var took = Seconds("ss_training_finished_at") is { } end && end >= start ? $", took {TimeSpan.FromSeconds(Math.Round(end - start)):c}" : "";
            facts.Add(new("trained at", $"{began.ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture)} UTC{took}"));
        }
        AddJson(metadata, "ss_dataset_dirs", facts, "folders", Folders);
        AddJson(metadata, "ss_reg_dataset_dirs", facts, "regularization folders", Folders);
        AddJson(metadata, "ss_bucket_info", facts, "buckets", Buckets);
        AddJson(metadata, "ss_tag_frequency", facts, "most frequent tags", Tags);
        return facts;

        double? Seconds(string key) => double.TryParse(metadata.GetValueOrDefault(key), CultureInfo.InvariantCulture, out var value) && value is > 0 and < 1e11 ? value : null;
    }

    /// <summary>Other programs' JSON is read as far as it is as expected; what is not, is still shown raw by whoever asks for all metadata.</summary>
    private static void AddJson(IReadOnlyDictionary<string, string> metadata, string key, List<Fact> facts, string name, Func<JsonElement, string> tell)
    {
        if (!metadata.TryGetValue(key, out var text) || text is "" or None) return;
        try
        {
            using var json = JsonDocument.Parse(text);
            if (json.RootElement.ValueKind == JsonValueKind.Object && tell(json.RootElement) is { Length: > 0 } told) facts.Add(new(name, told));
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or FormatException)
        {
            facts.Add(new(name, "not readable"));
        }
    }

    private static string Folders(JsonElement folders) => string.Join(", ", folders.EnumerateObject().Select(folder =>
        $"{folder.Name} ({Counted.Of(folder.Value.GetProperty("img_count").GetInt64(), "picture")}, {Counted.Of(folder.Value.GetProperty("n_repeats").GetInt64(), "repeat")})"));

    private static string Buckets(JsonElement info) => info.TryGetProperty("buckets", out var buckets)
        ? string.Join(", ", buckets.EnumerateObject().Select(bucket => bucket.Value).Select(bucket => $"{string.Join('×', bucket.GetProperty("resolution").EnumerateArray())}: {bucket.GetProperty("count").GetInt64()}"))
        : "";

    private static string Tags(JsonElement folders) => string.Join(", ", folders.EnumerateObject()
        .SelectMany(folder => folder.Value.EnumerateObject())
        .GroupBy(tag => tag.Name, (name, counts) => (Name: name, Count: counts.Sum(count => count.Value.GetInt64())))
        .OrderByDescending(tag => tag.Count).ThenBy(tag => tag.Name, StringComparer.Ordinal).Take(TagsShown).Select(tag => $"{tag.Name} ({tag.Count})"));
}
