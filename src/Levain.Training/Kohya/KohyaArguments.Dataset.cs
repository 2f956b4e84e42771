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
        RegFolder = line.Has("dataset_config") || line.Has("in_json") ? null : FullPath(line.Text("reg_data_dir")),     // kohya passes over it
        BatchSize = line.Whole("train_batch_size"),
        Resolution = Resolution(line.Text("resolution"), problems),
        EnableBucket = line.Flag("enable_bucket"),
        BucketNoUpscale = line.Flag("bucket_no_upscale"),
        MinBucketReso = line.Whole("min_bucket_reso"),
        MaxBucketReso = line.Whole("max_bucket_reso"),
        BucketResoSteps = line.Whole("bucket_reso_steps"),
        ValidationSplit = line.Number("validation_split"),
        ValidationSeed = line.Long("validation_seed"),
        Shared = new()
        {
            NumRepeats = line.Whole("dataset_repeats"),
            MetadataFile = line.Has("dataset_config") ? null : FullPath(line.Text("in_json")),
            ColorAug = line.Flag("color_aug"),
            FaceCropAugRange = FaceRange(line.Text("face_crop_aug_range"), problems),
            AlphaMask = line.Flag("alpha_mask"),
            CacheInfo = line.Flag("cache_info"),
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

    private static IReadOnlyList<double>? FaceRange(string? text, Problems problems)
    {
        if (text is null) return null;
        var sides = text.Split(',').Select(Double).ToList();
        if (sides is [{ } low, { } high] && low <= high) return [.. sides.Select(side => side!.Value)];
        problems.Add("--face_crop_aug_range", $"is \"{text}\".", "Write two numbers, the smaller first: 1.0,2.0.");
        return null;
    }

    private static TomlDocument? DatasetFile(string config, Func<string, string> files, Problems problems)
    {
        string text;
        try
        {
            text = files(config);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            problems.Add("--dataset_config", $"names {config}, which cannot be read.", "Name a TOML or JSON file that is there.");
            return null;
        }
        var name = Path.GetFileName(config);
        switch (Path.GetExtension(name).ToLowerInvariant())
        {
            case ".json": return TomlDocument.ParseJson(text, name, problems);
            case ".toml" or "": return TomlDocument.Parse(text, name, problems);
            default:
                problems.Add("--dataset_config", $"names {name}, an ending that kohya refuses.", "Name a file that ends in .toml or .json.");
                return null;
        }
    }

    private static RunSettings WithDatasets(RunSettings settings, KohyaCommandLine line, TomlDocument document, ICollection<string>? notes, Problems problems)
    {
        // What the schema refuses is told by it alone.
        var taken = new DatasetFileSchema(line.Trainer, line.Flag("masked_loss")).Check(document.Root, problems);
        var read = TomlReader.Read(document, settings, Map, taken ? problems : new(), Environment.CurrentDirectory);   // kohya's paths start from where it is called
        if (read.FilledDatasets is var filled && filled.Any(dataset => dataset.NetworkMultiplier is not 1))
            notes?.Add("network_multiplier changes nothing here: kohya reads it and never uses it.");
        if (filled.Any(dataset => dataset.Subsets.Any(subset => subset.CacheInfo is true || subset.CacheInfo is null && dataset.Shared.CacheInfo is true)) && !line.Flag("cache_info"))
            notes?.Add("cache_info changes nothing here: headers and captions are read anew in a moment, and so are never stale.");
        return HandedDown(WithoutAttributes(read, document.Root, line.Trainer, notes, problems));

        static RunSettings Map(RunSettings run, TomlMap map) => run with
        {
            General = map.Table("general", run.General, DatasetSettings.MapGeneral),
            Datasets = map.Tables("datasets", run.Datasets, () => new(), DatasetSettings.Map),
        };
    }

    // Class tokens of [general] are for folders without masks, and so is an alpha mask of the command line.
    private static RunSettings HandedDown(RunSettings read) => read with
    {
        General = read.General with { Shared = read.General.Shared with { ClassTokens = null } },
        Datasets =
        [
            .. read.Datasets.Select(dataset => dataset with
            {
                Shared = dataset.Shared with
                {
                    ClassTokens = dataset.HasMasks || dataset.Subsets.Any(subset => subset.MetadataFile is not null) ? null : dataset.Shared.ClassTokens ?? read.General.Shared.ClassTokens,
                    AlphaMask = dataset.HasMasks ? false : dataset.Shared.AlphaMask,
                },
            }),
        ],
    };

    // kohya hands custom attributes to its trainers, which look for one only.
    private static RunSettings WithoutAttributes(RunSettings read, TomlTable root, KohyaTrainers trainer, ICollection<string>? notes, Problems problems)
    {
        const string known = "diff_output_preservation";
        var attributes = Attributes(root).ToList();
        if (attributes.Count == 0) return read;
        if (trainer is KohyaTrainers.Network && attributes.FirstOrDefault(table => IsTrue(table[known]?.Value)) is { } asking)
            problems.Add($"{asking[known]!.Origin} custom_attributes.{known}", "is not supported.", "Leave it out.");
        else notes?.Add("custom_attributes changes nothing here: kohya looks at none of those given.");
        return read with
        {
            General = Plain(read.General),
            Datasets = [.. read.Datasets.Select(dataset => Plain(dataset) with { Subsets = [.. dataset.Subsets.Select(subset => subset with { HasCustomAttributes = false })] })],
        };

        static DatasetSettings Plain(DatasetSettings dataset) => dataset with { Shared = dataset.Shared with { HasCustomAttributes = false } };
    }

    private static IEnumerable<TomlTable> Attributes(TomlTable table)
    {
        foreach (var key in table.Keys)
        {
            var items = table[key]!.Value as List<TomlEntry> ?? [table[key]!];
            foreach (var inner in items.Select(item => item.Value).OfType<TomlTable>())
                foreach (var found in key == "custom_attributes" ? [inner] : Attributes(inner)) yield return found;
        }
    }

    private static bool IsTrue(object? value) => value switch
    {
        null or DBNull => false,
        bool flag => flag,
        long whole => whole != 0,
        double number => number != 0,
        string text => text.Length > 0,
        TomlTable table => table.Keys.Count > 0,
        List<TomlEntry> list => list.Count > 0,
        _ => true,
    };
}
