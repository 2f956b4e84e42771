using System.Text.Json;
using Levain.Training.Kohya;
using Levain.Training.Settings;
using Xunit;

namespace Levain.Tests.Training.Kohya;

/// <summary>kohya's dataset files: what each becomes, recorded in <c>tests/golden/dataset/dataset_toml.json</c>.</summary>
public sealed class DatasetFileTests(ITestOutputHelper output)
{
    [Fact]
    public void Dataset_files_give_the_recorded_parameters_or_a_problem()
    {
        var (read, refused) = (0, 0);
        foreach (var row in Golden.Json("dataset", "dataset_toml.json").EnumerateArray())
        {
            var toml = row.GetProperty("toml").GetString()!;
            string[] arguments =
            [
                "--pretrained_model_name_or_path", "m", "--network_module", "networks.lora", "--max_data_loader_n_workers", "0", "--dataset_config", "d.toml",
                .. row.GetProperty("arguments").EnumerateArray().Select(word => word.GetString()!),
            ];
            var (settings, problems) = KohyaArguments.Read(arguments, read: _ => toml);
            if (row.TryGetProperty("error", out _))
            {
                settings.Check(problems);
                Assert.True(problems.Any, $"not refused: {toml}");
                refused++;
                continue;
            }
            Assert.True(!problems.Any, $"{string.Join('\n', problems.All)}\n{toml}");
            var filled = settings.FilledDatasets;
            var expected = row.GetProperty("datasets").EnumerateArray().ToList();
            Assert.Equal(expected.Count, filled.Count);
            for (var i = 0; i < expected.Count; i++) Compare(expected[i], filled[i], settings, toml);
            read++;
        }
        output.WriteLine($"{read} read as recorded, {refused} refused");
    }

    private static void Compare(JsonElement expected, DatasetSettings dataset, RunSettings settings, string toml)
    {
        var wanted = expected.GetProperty("params");
        var options = dataset.ToOptions(settings.Training.BatchSize, settings.Loss.PriorWeight);
        Same(wanted, toml, new()
        {
            ["resolution"] = options.Resolution is { } size ? new[] { size.Width, size.Height } : null,
            ["network_multiplier"] = options.NetworkMultiplier,
            ["validation_seed"] = options.ValidationSeed,
            ["validation_split"] = options.ValidationSplit,
            ["resize_interpolation"] = options.ResizeInterpolation,
            ["batch_size"] = options.BatchSize,
            ["enable_bucket"] = options.EnableBucket,
            ["min_bucket_reso"] = options.MinBucketReso,
            ["max_bucket_reso"] = options.MaxBucketReso,
            ["bucket_reso_steps"] = options.BucketResoSteps,
            ["bucket_no_upscale"] = options.BucketNoUpscale,
            ["prior_loss_weight"] = options.PriorLossWeight,
        });
        var subsets = expected.GetProperty("subsets").EnumerateArray().ToList();
        Assert.Equal(subsets.Count, options.Subsets.Count);
        for (var i = 0; i < subsets.Count; i++)
        {
            var subset = options.Subsets[i];
            Same(subsets[i], toml, new()
            {
                ["image_dir"] = subset.ImageDir is { } folder ? Path.GetFileName(folder) : null,
                ["metadata_file"] = subset.MetadataFile is { } file ? Path.GetFileName(file) : null,
                ["num_repeats"] = subset.NumRepeats,
                ["shuffle_caption"] = subset.ShuffleCaption,
                ["caption_separator"] = subset.CaptionSeparator,
                ["keep_tokens"] = subset.KeepTokens,
                ["keep_tokens_separator"] = subset.KeepTokensSeparator,
                ["secondary_separator"] = subset.SecondarySeparator,
                ["enable_wildcard"] = subset.EnableWildcard,
                ["color_aug"] = subset.ColorAug,
                ["flip_aug"] = subset.FlipAug,
                ["face_crop_aug_range"] = subset.FaceCropAugRange is var (low, high) ? new[] { low, high } : null,
                ["random_crop"] = subset.RandomCrop,
                ["caption_prefix"] = subset.CaptionPrefix,
                ["caption_suffix"] = subset.CaptionSuffix,
                ["caption_dropout_rate"] = subset.CaptionDropoutRate,
                ["caption_dropout_every_n_epochs"] = subset.CaptionDropoutEveryNEpochs,
                ["caption_tag_dropout_rate"] = subset.CaptionTagDropoutRate,
                ["token_warmup_min"] = subset.TokenWarmupMin,
                ["token_warmup_step"] = subset.TokenWarmupStep,
                ["resize_interpolation"] = subset.ResizeInterpolation,
                ["is_reg"] = subset.IsReg,
                ["class_tokens"] = subset.ClassTokens,
                ["caption_extension"] = subset.CaptionExtension,
                ["cache_info"] = subset.CacheInfo,
                ["alpha_mask"] = subset.AlphaMask,
            });
        }
    }

    // Numbers compare as numbers: 0 and 0.0 are one value here, whatever Python calls them.
    private static void Same(JsonElement wanted, string toml, Dictionary<string, object?> ours)
    {
        foreach (var (key, value) in ours)
            if (wanted.TryGetProperty(key, out var recorded))
                Assert.True(JsonElement.DeepEquals(recorded, JsonSerializer.SerializeToElement(value)), $"{key}: {JsonSerializer.Serialize(value)} where {recorded} is recorded\n{toml}");
    }
}
