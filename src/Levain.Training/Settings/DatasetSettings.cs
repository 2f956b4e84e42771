using Levain.Core;
using Levain.Data;

namespace Levain.Training.Settings;

/// <summary>
/// A <c>[[datasets]]</c> table: pictures trained at one size and batch size. The same keys in <c>[general]</c> hold for all datasets, as in
/// kohya's dataset file; <c>[dataset]</c> with a <c>folder</c> is the short form for one. Null: what stands further out.
/// </summary>
public sealed record DatasetSettings
{
    /// <summary>What holds where nothing is said.</summary>
    public static DatasetSettings Defaults { get; } = new()
    {
        Resolution = new(512, 512),
        EnableBucket = true,
        BucketNoUpscale = false,
        MinBucketReso = 256,
        MaxBucketReso = 1024,
        BucketResoSteps = 64,
        ValidationSplit = 0,
        NetworkMultiplier = 1,
        Shared = new()
        {
            NumRepeats = 1,
            ShuffleCaption = false,
            FlipAug = false,
            ColorAug = false,
            RandomCrop = false,
            EnableWildcard = false,
            CaptionSeparator = ",",
            KeepTokensSeparator = "",
            KeepTokens = 0,
            TokenWarmupMin = 1,
            TokenWarmupStep = 0,
            CaptionDropoutRate = 0,
            CaptionDropoutEveryNEpochs = 0,
            CaptionTagDropoutRate = 0,
            CaptionExtension = ".txt",
            CacheInfo = false,
            AlphaMask = false,
        },
    };

    /// <summary>Folder of the short form: pictures themselves, or folders called <c>10_name</c> (repeats, then class) with pictures in them.</summary>
    public string? Folder { get; init; }

    /// <summary>Folder of regularization pictures, in folders called <c>1_class</c>.</summary>
    public string? RegFolder { get; init; }

    /// <summary>Pictures of one batch. Default <c>training.batch_size</c>.</summary>
    public int? BatchSize { get; init; }

    /// <summary>Size in px: one number for a square, or width and height. Default 512.</summary>
    public PixelSize? Resolution { get; init; }

    /// <summary>Sorts pictures by shape into sizes of about equal area instead of cropping all to one. Default true.</summary>
    public bool? EnableBucket { get; init; }

    /// <summary>Never enlarges a picture; sizes then follow the pictures. Default false.</summary>
    public bool? BucketNoUpscale { get; init; }

    /// <summary>Shortest side of a bucket in px. Default 256.</summary>
    public int? MinBucketReso { get; init; }

    /// <summary>Longest side of a bucket in px. Default 1024.</summary>
    public int? MaxBucketReso { get; init; }

    /// <summary>Sides of buckets are multiples of this many px. Default 64.</summary>
    public int? BucketResoSteps { get; init; }

    /// <summary>Strength of the network for these pictures. Default 1, the only one this version trains at.</summary>
    public double? NetworkMultiplier { get; init; }

    /// <summary>Share of pictures set aside to judge by, 0 to 1; the same ones in every run, whichever others come and go. 1 makes this a dataset to judge by alone. Default 0: none.</summary>
    public double? ValidationSplit { get; init; }

    /// <summary>Seed of that choice. Default 0.</summary>
    public long? ValidationSeed { get; init; }

    /// <summary>What holds for all its subsets.</summary>
    public SubsetSettings Shared { get; init; } = new();

    /// <summary>Its folders.</summary>
    public IReadOnlyList<SubsetSettings> Subsets { get; init; } = [];

    /// <summary>Whether all its folders have masks.</summary>
    public bool HasMasks => Subsets.Count > 0 && Subsets.All(subset => subset.ConditioningDataDir is not null);

    /// <summary>These settings, with gaps filled from <paramref name="outer"/>; the folders stay.</summary>
    public DatasetSettings Over(DatasetSettings outer) => this with
    {
        BatchSize = BatchSize ?? outer.BatchSize,
        Resolution = Resolution ?? outer.Resolution,
        EnableBucket = EnableBucket ?? outer.EnableBucket,
        BucketNoUpscale = BucketNoUpscale ?? outer.BucketNoUpscale,
        MinBucketReso = MinBucketReso ?? outer.MinBucketReso,
        MaxBucketReso = MaxBucketReso ?? outer.MaxBucketReso,
        BucketResoSteps = BucketResoSteps ?? outer.BucketResoSteps,
        NetworkMultiplier = NetworkMultiplier ?? outer.NetworkMultiplier,
        ValidationSplit = ValidationSplit ?? outer.ValidationSplit,
        ValidationSeed = ValidationSeed ?? outer.ValidationSeed,
        Shared = Shared.Over(outer.Shared),
    };

    /// <summary>The keys of <c>[[datasets]]</c>.</summary>
    public static DatasetSettings Map(DatasetSettings dataset, TomlMap map) => MapGeneral(dataset, map) with
    {
        Subsets = map.Tables("subsets", dataset.Subsets, () => new(), SubsetSettings.Map),
    };

    /// <summary>The keys of <c>[dataset]</c>.</summary>
    public static DatasetSettings MapShort(DatasetSettings dataset, TomlMap map)
    {
        var general = MapGeneral(dataset with
        {
            Folder = map.OptionalPath("folder", dataset.Folder),
            RegFolder = map.OptionalPath("reg_folder", dataset.RegFolder),
        }, map);
        return general with
        {
            Shared = general.Shared with
            {
                MetadataFile = map.OptionalPath("metadata_file", dataset.Shared.MetadataFile),
                ConditioningDataDir = map.OptionalPath("conditioning_data_dir", dataset.Shared.ConditioningDataDir),
            },
        };
    }

    /// <summary>The keys of <c>[general]</c>.</summary>
    public static DatasetSettings MapGeneral(DatasetSettings dataset, TomlMap map) => dataset with
    {
        BatchSize = map.OptionalWhole("batch_size", dataset.BatchSize),
        Resolution = map.Own("resolution", dataset.Resolution is { } size ? new Box(size) : null, ReadSize, WriteSize, "a whole number of px, or [width, height]")?.Size,
        EnableBucket = map.OptionalFlag("enable_bucket", dataset.EnableBucket),
        BucketNoUpscale = map.OptionalFlag("bucket_no_upscale", dataset.BucketNoUpscale),
        MinBucketReso = map.OptionalWhole("min_bucket_reso", dataset.MinBucketReso),
        MaxBucketReso = map.OptionalWhole("max_bucket_reso", dataset.MaxBucketReso),
        BucketResoSteps = map.OptionalWhole("bucket_reso_steps", dataset.BucketResoSteps),
        NetworkMultiplier = map.OptionalNumber("network_multiplier", dataset.NetworkMultiplier),
        ValidationSplit = map.OptionalNumber("validation_split", dataset.ValidationSplit),
        ValidationSeed = map.OptionalLong("validation_seed", dataset.ValidationSeed),
        Shared = SubsetSettings.MapShared(dataset.Shared, map),
    };

    /// <summary>What the data room is asked for. Call it on settings whose gaps are filled.</summary>
    /// <param name="batchSize">Batch size where this says none.</param>
    /// <param name="priorWeight">Loss weight of regularization pictures.</param>
    public DatasetOptions ToOptions(int batchSize, double priorWeight) => new()
    {
        TrainDataDir = Shared.MetadataFile is null ? Folder : null,
        RegDataDir = RegFolder,
        SubsetDefaults = Shared.ToOptions(),
        Subsets = [.. Subsets.Select(subset => subset.Over(Shared).ToOptions()), .. Shared.MetadataFile is null ? [] : new[] { Shared.ToOptions() with { ImageDir = Folder } }],
        BatchSize = BatchSize ?? batchSize,
        Resolution = Resolution,
        EnableBucket = EnableBucket ?? false,
        MinBucketReso = MinBucketReso!.Value,
        MaxBucketReso = MaxBucketReso!.Value,
        BucketResoSteps = BucketResoSteps!.Value,
        BucketNoUpscale = BucketNoUpscale ?? false,
        NetworkMultiplier = NetworkMultiplier!.Value,
        ValidationSeed = ValidationSeed,
        ValidationSplit = ValidationSplit!.Value,
        ResizeInterpolation = Shared.ResizeInterpolation,
        PriorLossWeight = priorWeight,
    };

    /// <summary>Adds problems that show only once gaps are filled to <paramref name="problems"/>; throws nothing.</summary>
    /// <param name="cached">Whether latents are to be cached.</param>
    /// <param name="kohya">Whether kohya's narrower rules hold.</param>
    public void CheckFilled(Problems problems, bool cached, bool kohya)
    {
        problems.Require(Resolution is not null, "resolution", "is not given.", "Give the size to train at: resolution = 512.");
        var masked = kohya && HasMasks;
        if (EnableBucket is true && Resolution is { } size)
        {
            var (low, high, step) = (MinBucketReso!.Value, MaxBucketReso!.Value, Math.Max(1, BucketResoSteps!.Value));
            problems.Require(Math.Max(size.Width, size.Height) <= (high + step - 1) / step * step, "max_bucket_reso", $"is {high}, less than the resolution {size}.", "Raise it to the resolution at least.");
            problems.Require(Math.Min(size.Width, size.Height) >= low / step * step, "min_bucket_reso", $"is {low}, more than the resolution {size}.", "Lower it to the resolution at most.");
            problems.Require(!kohya || BucketNoUpscale is true || low >= step, "min_bucket_reso", $"is {low}, less than a step of {step}, which kohya makes 0.", $"Use {step} or more.");
            CheckSteps(problems);
        }
        // What kohya builds around masks knows neither the steps nor the subsets it would judge.
        const int kohyaStep = 64;
        if (kohya && EnableBucket is true && !masked)
            problems.Require(BucketResoSteps % kohyaStep == 0, "bucket_reso_steps", $"is {BucketResoSteps}, which kohya refuses for SD 1.x.", "Use a multiple of 64, or leave compat = \"kohya\" out.");
        var folders = Subsets.Select(subset => subset.Over(Shared)).Prepend(Folder is null ? new() : Shared).ToList();
        problems.Require(!cached || folders.All(subset => subset.RandomCrop is not true), "random_crop", "is true with cached latents, which hold one crop of each picture.", "Set cache.latents = \"off\", or leave random_crop out.");
        problems.Require(!masked || folders.All(subset => subset.RandomCrop is not true), "random_crop", "is true with masks, which kohya refuses.", "Leave random_crop or conditioning_data_dir out.");
        problems.Require(!cached || masked || folders.All(subset => subset.ColorAug is not true), "color_aug", "is true with cached latents, which hold the colours of each picture.", "Set cache.latents = \"off\", or leave color_aug out.");
        if (kohya) return;
        var faces = folders.Any(subset => subset.FaceCropAugRange is not null);
        problems.Require(!faces || EnableBucket is not true, "face_crop_aug_range", "is given with buckets, where kohya and this program pass over it.", "Set enable_bucket = false, or leave face_crop_aug_range out.");
        problems.Require(!faces || !cached, "face_crop_aug_range", "is given with cached latents, which hold one crop of each picture.", "Set cache.latents = \"off\", or leave face_crop_aug_range out.");
    }

    /// <summary>Adds every problem of settings written here to <paramref name="problems"/>; throws nothing.</summary>
    /// <param name="problems">Where they go.</param>
    /// <param name="kohya">Whether kohya's limits hold: what is not used may be anything, and no share is set aside for one below 0.</param>
    public void Check(Problems problems, bool kohya)
    {
        const int mostPixels = 4096;
        problems.Require(BatchSize is null or >= 1, "batch_size", $"is {BatchSize}.", "Use 1 or more.");
        problems.Require(Resolution is null or { Width: >= 64 and <= mostPixels, Height: >= 64 and <= mostPixels }, "resolution", $"is {Resolution}.", "Use 64 to 4096 px a side; SD 1.x was made at 512.");
        problems.Require(ValidationSplit is null or >= 0 and <= 1 || kohya && ValidationSplit < 0, "validation_split", $"is {ValidationSplit}.", "Use 0 to 1; 0.1 is usual.");
        if (!kohya)
        {
            problems.Require(MinBucketReso is null or >= 64, "min_bucket_reso", $"is {MinBucketReso}.", "Use 64 or more.");
            problems.Require(MaxBucketReso is null or <= mostPixels, "max_bucket_reso", $"is {MaxBucketReso}.", "Use at most 4096.");
            problems.Require(NetworkMultiplier is null or 1, "network_multiplier", $"is {NetworkMultiplier}, which kohya reads and never uses.", "Leave it out.");
            CheckSteps(problems);
        }
        Shared.Check(problems, kohya);
        for (var i = 0; i < Subsets.Count; i++)
        {
            var at = problems.In($"subsets[{i}]");
            Subsets[i].Check(at, kohya);
            at.Require(Subsets[i].ImageDir is not null || Subsets[i].MetadataFile is not null, "image_dir", "is not given.", "Name the folder of the pictures.");
        }
    }

    private void CheckSteps(Problems problems) =>
        problems.Require(BucketResoSteps is null || BucketResoSteps > 0 && BucketResoSteps % LatentSize.CellPixels == 0, "bucket_reso_steps", $"is {BucketResoSteps}.", "Use a multiple of 8; 64 is usual.");

    private sealed record Box(PixelSize Size);

    private static Box? ReadSize(object value) => value switch
    {
        long side and > 0 and <= int.MaxValue => new(new((int)side, (int)side)),
        List<object> { Count: 2 } pair when pair is [long width and > 0 and <= int.MaxValue, long height and > 0 and <= int.MaxValue] => new(new((int)width, (int)height)),
        _ => null,
    };

    private static object WriteSize(Box box) => box.Size.Width == box.Size.Height ? (long)box.Size.Width : new[] { box.Size.Width, box.Size.Height };
}
