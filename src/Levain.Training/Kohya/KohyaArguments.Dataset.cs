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
        ValidationSplit = line.Number("validation_split"),
        ValidationSeed = line.Whole("validation_seed"),
        Shared = new()
        {
            NumRepeats = line.Whole("dataset_repeats"),
            MetadataFile = line.Has("dataset_config") ? null : FullPath(line.Text("in_json")),
            ColorAug = line.Flag("color_aug"),
            FaceCropAugRange = FaceRange(line.Text("face_crop_aug_range"), problems),
            AlphaMask = line.Flag("alpha_mask"),
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

    // kohya takes a dataset for one of masks where --masked_loss is given and all its subsets have them, else it does not know the key; for one of
    // a metadata file where all have one.
    private static void Kinds(KohyaCommandLine line, RunSettings settings, Problems problems)
    {
        for (var i = 0; i < settings.Datasets.Count; i++)
        {
            var subsets = settings.Datasets[i].Subsets;
            var masked = subsets.Count(subset => subset.ConditioningDataDir is not null);
            if (masked > 0 && !line.Flag("masked_loss"))
                problems.Add($"datasets[{i}].subsets[{subsets.TakeWhile(subset => subset.ConditioningDataDir is null).Count()}].conditioning_data_dir", "is given without --masked_loss, which kohya refuses.", "Give --masked_loss too.");
            else if (masked > 0 && masked < subsets.Count)
                problems.Add($"datasets[{i}].subsets", $"has masks for {masked} of {subsets.Count} folders, which kohya refuses.", "Put the folders without masks into a dataset of their own.");
            if (subsets.Count(subset => subset.MetadataFile is not null) is > 0 and var listed && listed < subsets.Count)
                problems.Add($"datasets[{i}].subsets", $"has metadata files for {listed} of {subsets.Count} subsets, which kohya refuses.", "Put those without one into a dataset of their own.");
        }
    }

    // kohya's schema asks for decimals in these three places, and elsewhere takes whole numbers too.
    private static void Wholes(TomlTable table, Problems problems)
    {
        foreach (var key in table.Keys)
        {
            var entry = table[key]!;
            var items = entry.Value as List<TomlEntry> ?? [entry];
            foreach (var inner in items.Select(item => item.Value).OfType<TomlTable>()) Wholes(inner, problems);
            if (key is "face_crop_aug_range" or "validation_split" or "network_multiplier" && items.Select(item => item.Value).OfType<long>().Any())
                problems.Add($"{entry.Origin} {key}", "holds a whole number, which kohya refuses.", "Write it with decimals: 1.0.");
        }
    }

    private static IReadOnlyList<double>? FaceRange(string? text, Problems problems)
    {
        if (text is null) return null;
        var sides = text.Split(',').Select(Double).ToList();
        if (sides.Count == 2 && sides.All(side => side is not null)) return [.. sides.Select(side => side!.Value)];
        problems.Add("--face_crop_aug_range", $"is \"{text}\".", "Write two numbers: 1.0,2.0.");
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
        Wholes(document.Root, problems);
        return (TomlReader.Read(document, settings, Map, problems, Environment.CurrentDirectory), document);   // kohya's paths start from where it is called

        static RunSettings Map(RunSettings run, TomlMap map) => run with
        {
            General = map.Table("general", run.General, DatasetSettings.MapGeneral),
            Datasets = map.Tables("datasets", run.Datasets, () => new(), DatasetSettings.Map),
        };
    }
}
