using Levain.Core;
using Levain.Data;

namespace Levain.Tests.Data;

/// <summary>The dataset part of a recorded kohya command line.</summary>
internal static class KohyaDataArguments
{
    private static readonly string[] Flags = ["--enable_bucket", "--bucket_no_upscale", "--enable_wildcard", "--shuffle_caption", "--random_crop", "--flip_aug", "--color_aug", "--alpha_mask"];

    /// <summary>The dataset and the steps of the run.</summary>
    public static (DatasetOptions Options, int MaxTrainSteps) Read(IReadOnlyList<string> arguments, Func<string, string> path)
    {
        var (options, subset, steps) = (new DatasetOptions(), new SubsetOptions(), 1600);
        for (var i = 0; i < arguments.Count; i++)
        {
            var name = arguments[i];
            var value = i + 1 < arguments.Count ? arguments[i + 1] : "";
            if (!name.StartsWith("--")) continue;
            if (!Flags.Contains(name) && !value.StartsWith("--")) i++;
            subset = name switch
            {
                "--caption_extension" => subset with { CaptionExtension = value },
                "--enable_wildcard" => subset with { EnableWildcard = true },
                "--shuffle_caption" => subset with { ShuffleCaption = true },
                "--random_crop" => subset with { RandomCrop = true },
                "--flip_aug" => subset with { FlipAug = true },
                "--color_aug" => subset with { ColorAug = true },
                "--alpha_mask" => subset with { AlphaMask = true },
                "--keep_tokens" => subset with { KeepTokens = int.Parse(value) },
                "--keep_tokens_separator" => subset with { KeepTokensSeparator = value },
                "--secondary_separator" => subset with { SecondarySeparator = value },
                "--caption_prefix" => subset with { CaptionPrefix = value },
                "--caption_suffix" => subset with { CaptionSuffix = value },
                "--caption_dropout_rate" => subset with { CaptionDropoutRate = double.Parse(value) },
                "--caption_dropout_every_n_epochs" => subset with { CaptionDropoutEveryNEpochs = int.Parse(value) },
                "--caption_tag_dropout_rate" => subset with { CaptionTagDropoutRate = double.Parse(value) },
                "--token_warmup_min" => subset with { TokenWarmupMin = int.Parse(value) },
                "--token_warmup_step" => subset with { TokenWarmupStep = double.Parse(value) },
                "--face_crop_aug_range" => subset with { FaceCropAugRange = (double.Parse(value.Split(',')[0]), double.Parse(value.Split(',')[1])) },
                "--resize_interpolation" => subset with { ResizeInterpolation = value },
                _ => subset,
            };
            options = name switch
            {
                "--train_data_dir" => options with { TrainDataDir = path(value) },
                "--reg_data_dir" => options with { RegDataDir = path(value) },
                "--resolution" => options with { Resolution = SizeOf(value) },
                "--train_batch_size" => options with { BatchSize = int.Parse(value) },
                "--enable_bucket" => options with { EnableBucket = true },
                "--bucket_no_upscale" => options with { BucketNoUpscale = true },
                "--min_bucket_reso" => options with { MinBucketReso = int.Parse(value) },
                "--max_bucket_reso" => options with { MaxBucketReso = int.Parse(value) },
                "--bucket_reso_steps" => options with { BucketResoSteps = int.Parse(value) },
                "--prior_loss_weight" => options with { PriorLossWeight = double.Parse(value) },
                "--validation_split" => options with { ValidationSplit = double.Parse(value) },
                "--validation_seed" => options with { ValidationSeed = long.Parse(value) },
                "--in_json" => options with { Subsets = [new() { MetadataFile = path(value) }] },
                _ => options,
            };
            if (name == "--max_train_steps") steps = int.Parse(value);
        }
        if (options is { Subsets: [{ MetadataFile: not null } metadata], TrainDataDir: { } folder })
            options = options with { TrainDataDir = null, Subsets = [subset with { MetadataFile = metadata.MetadataFile, ImageDir = folder }] };
        return (options with { SubsetDefaults = subset }, steps);
    }

    private static PixelSize SizeOf(string text)
    {
        var sides = text.Split(',').Select(int.Parse).ToArray();
        return new(sides[0], sides[^1]);
    }
}
