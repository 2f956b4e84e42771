using Levain.Core;
using Levain.Data;
using Levain.Training.Planning;

namespace Levain.Training.Metadata;

/// <summary>What a LoRA file tells of the pictures it was trained on. One dataset of folders is told in single keys, several (or a dataset file) as a list.</summary>
/// <remarks>kohya-ss/sd-scripts 48d368f, <c>train_network.py</c>.</remarks>
internal static class DatasetMetadata
{
    public static OrderedDictionary<string, string> Build(RunPlan plan)
    {
        var texts = new OrderedDictionary<string, string>();
        var fromFile = plan.Settings.Kohya?.FromDatasetFile ?? plan.Settings.Datasets.Count > 0;
        if (fromFile) List(plan.Dataset, texts);
        else Single(plan, plan.Dataset.Parts[0], texts);
        return texts;
    }

    private static void Single(RunPlan plan, DatasetPart part, OrderedDictionary<string, string> texts)
    {
        var (options, shared) = (part.Options, part.Options.SubsetDefaults);
        Put("batch_size_per_device", options.BatchSize);
        Put("total_batch_size", options.BatchSize * plan.Settings.Training.GradientAccumulation);
        Put("resolution", new PythonTuple(options.Resolution!.Value.Width, options.Resolution.Value.Height));
        Put("color_aug", shared.ColorAug);
        Put("flip_aug", shared.FlipAug);
        Put("random_crop", shared.RandomCrop);
        Put("shuffle_caption", shared.ShuffleCaption);
        Put("enable_bucket", options.EnableBucket);
        Put("bucket_no_upscale", options.EnableBucket && options.BucketNoUpscale);
        Put("min_bucket_reso", MinBucket(options));
        Put("max_bucket_reso", MaxBucket(options));
        Put("keep_tokens", shared.KeepTokens);
        Put("dataset_dirs", PythonText.Json(Folders(part.Subsets.Where(subset => !subset.Options.IsReg))));
        Put("reg_dataset_dirs", PythonText.Json(Folders(part.Subsets.Where(subset => subset.Options.IsReg))));
        Put("tag_frequency", PythonText.Json(Tags([part])));
        Put("bucket_info", PythonText.Json(Buckets(part)));

        void Put(string key, object? value) => texts[$"ss_{key}"] = PythonText.Str(value);
    }

    private static void List(Dataset dataset, OrderedDictionary<string, string> texts)
    {
        // K-22: kohya knows nothing of what lies in a dataset with masks.
        var told = dataset.Parts.Where(part => !(part.HasMasks && dataset.Compat.MasksApart)).ToList();
        texts["ss_datasets"] = PythonText.Json(dataset.Parts.Select(part => told.Contains(part) ? Facts(part) : Untold(part)));
        texts["ss_tag_frequency"] = PythonText.Json(Tags(told));
        texts["ss_dataset_dirs"] = PythonText.Json(Folders(told.SelectMany(part => part.Subsets).Where(subset => !subset.Options.IsReg)));
    }

    private static List<KeyValuePair<string, object?>> Untold(DatasetPart part)
    {
        var facts = new OrderedDictionary<string, object?>(Facts(part)) { ["enable_bucket"] = false, ["min_bucket_reso"] = null, ["max_bucket_reso"] = null };
        (facts["tag_frequency"], facts["bucket_info"], facts["subsets"]) = (Tags([]), null, Array.Empty<object>());
        return [.. facts];
    }

    private static List<KeyValuePair<string, object?>> Facts(DatasetPart part) =>
    [
        new("is_dreambooth", part.Subsets.All(subset => subset.Options.MetadataFile is null) && !part.HasMasks),
        new("batch_size_per_device", part.Options.BatchSize),
        new("num_train_images", part.TrainUses),
        new("num_reg_images", part.RegUses),
        new("resolution", new[] { part.Options.Resolution!.Value.Width, part.Options.Resolution.Value.Height }),
        new("enable_bucket", part.Options.EnableBucket),
        new("min_bucket_reso", MinBucket(part.Options)),
        new("max_bucket_reso", MaxBucket(part.Options)),
        new("tag_frequency", Tags([part])),
        new("bucket_info", Buckets(part)),
        new("resize_interpolation", part.Options.ResizeInterpolation),
        new("subsets", part.Subsets.Select(Subset).ToList()),
    ];

    private static List<KeyValuePair<string, object?>> Subset(DatasetSubset subset)
    {
        var options = subset.Options;
        List<KeyValuePair<string, object?>> facts =
        [
            new("img_count", subset.ImageCount),
            new("num_repeats", options.NumRepeats),
            new("color_aug", options.ColorAug),
            new("flip_aug", options.FlipAug),
            new("random_crop", options.RandomCrop),
            new("shuffle_caption", options.ShuffleCaption),
            new("keep_tokens", options.KeepTokens),
            new("keep_tokens_separator", options.KeepTokensSeparator),
            new("secondary_separator", options.SecondarySeparator),
            new("enable_wildcard", options.EnableWildcard),
            new("caption_prefix", options.CaptionPrefix),
            new("caption_suffix", options.CaptionSuffix),
            new("resize_interpolation", options.ResizeInterpolation),
        ];
        if (options.ImageDir is not null) facts.Add(new("image_dir", Path.GetFileName(options.ImageDir)));
        if (options.MetadataFile is { } metadata) facts.Add(new("metadata_file", Path.GetFileName(metadata)));
        else facts.AddRange([new("class_tokens", options.ClassTokens), new("is_reg", options.IsReg)]);
        return facts;
    }

    // A folder that comes twice gets a number, as in kohya.
    private static List<KeyValuePair<string, object?>> Folders(IEnumerable<DatasetSubset> subsets)
    {
        var folders = new OrderedDictionary<string, object?>();
        foreach (var subset in subsets)
        {
            var name = subset.Name;
            for (var i = 2; folders.ContainsKey(name); i++) name = $"{subset.Name} ({i})";
            folders[name] = new KeyValuePair<string, object?>[] { new("n_repeats", subset.Options.NumRepeats), new("img_count", subset.ImageCount) };
        }
        return [.. folders];
    }

    // The first dataset that has a folder of this name wins.
    private static List<KeyValuePair<string, object?>> Tags(IReadOnlyList<DatasetPart> parts)
    {
        var folders = new OrderedDictionary<string, object?>();
        foreach (var part in parts)
        {
            var here = new OrderedDictionary<string, OrderedDictionary<string, int>>();
            foreach (var subset in part.Subsets)
            {
                if (!here.TryGetValue(subset.Name, out var counts)) here[subset.Name] = counts = [];
                foreach (var (tag, count) in subset.TagFrequency) counts[tag] = counts.GetValueOrDefault(tag) + count;
            }
            foreach (var (name, counts) in here) folders.TryAdd(name, counts.Select(pair => new KeyValuePair<string, object?>(pair.Key, pair.Value)).ToList());
        }
        return [.. folders];
    }

    private static List<KeyValuePair<string, object?>>? Buckets(DatasetPart part) => !part.Options.EnableBucket ? null :
    [
        new("buckets", part.Buckets.Select((bucket, i) => new KeyValuePair<string, object?>($"{i}", new KeyValuePair<string, object?>[]
        {
            new("resolution", new[] { bucket.Size.Width, bucket.Size.Height }), new("count", bucket.Images.Count),
        })).ToList()),
        new("mean_img_ar_error", part.Images.Count == 0 ? (object)0 : part.MeanAspectError),     // kohya writes 0, not 0.0, where there is no picture
    ];

    private static int? MinBucket(DatasetOptions options) => Limits(options)?.Min;

    private static int? MaxBucket(DatasetOptions options) => Limits(options)?.Max;

    private static (int Min, int Max)? Limits(DatasetOptions options) => !options.EnableBucket ? null
        : BucketRule.Limits(options.Resolution!.Value, options.MinBucketReso, options.MaxBucketReso, options.BucketResoSteps);
}
