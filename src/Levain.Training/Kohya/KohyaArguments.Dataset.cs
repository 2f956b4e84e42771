using System.Globalization;
using Levain.Core;
using Levain.Training.Settings;

namespace Levain.Training.Kohya;

public static partial class KohyaArguments
{
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
}
