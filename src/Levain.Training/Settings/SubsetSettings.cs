using Levain.Core;
using Levain.Data;

namespace Levain.Training.Settings;

/// <summary>A <c>[[datasets.subsets]]</c> table: one folder of pictures and how it is read. Null: what the dataset around it says.</summary>
/// <remarks>Keys as in kohya's dataset file; all but the last four may also stand in <c>[[datasets]]</c>, <c>[general]</c> and <c>[dataset]</c>.</remarks>
public sealed record SubsetSettings
{
    /// <summary>Times each picture is seen in an epoch. Default 1.</summary>
    public int? NumRepeats { get; init; }

    /// <summary>Shuffles the tags of a caption each time. Default false.</summary>
    public bool? ShuffleCaption { get; init; }

    /// <summary>Mirrors every second picture by chance. Default false.</summary>
    public bool? FlipAug { get; init; }

    /// <summary>Turns the hue or changes the brightness of every third picture a little (8 of 180 half degrees, power 0.95 to 1.05). Default false; not with cached latents.</summary>
    public bool? ColorAug { get; init; }

    /// <summary>Crops anywhere instead of in the middle. Default false.</summary>
    public bool? RandomCrop { get; init; }

    /// <summary>Replaces <c>{a|b}</c> by one of the two, and a caption of several lines by one of them. Default false.</summary>
    public bool? EnableWildcard { get; init; }

    /// <summary>Crops around the face named in the file name (<c>name_cx_cy_w_h.png</c>): smallest and largest side of the crop divided by the face's, such as <c>[1.0, 2.0]</c>. Default none; only without buckets and cached latents.</summary>
    public IReadOnlyList<double>? FaceCropAugRange { get; init; }

    /// <summary>What stands between tags. Default a comma.</summary>
    public string? CaptionSeparator { get; init; }

    /// <summary>Separates the tags that stay in place from those that may be shuffled. Default none.</summary>
    public string? KeepTokensSeparator { get; init; }

    /// <summary>Stands between tags that move as one. Default none.</summary>
    public string? SecondarySeparator { get; init; }

    /// <summary>Put before every caption, with a space. Default none.</summary>
    public string? CaptionPrefix { get; init; }

    /// <summary>Put behind every caption, with a space. Default none.</summary>
    public string? CaptionSuffix { get; init; }

    /// <summary>Tags at the front that stay in place. Default 0.</summary>
    public int? KeepTokens { get; init; }

    /// <summary>Tags used at the first step of the warm-up. Default 1.</summary>
    public int? TokenWarmupMin { get; init; }

    /// <summary>Steps until all tags are used; below 1 it is a share of the run. Default 0.</summary>
    public double? TokenWarmupStep { get; init; }

    /// <summary>Share of captions left empty, 0..1. Default 0.</summary>
    public double? CaptionDropoutRate { get; init; }

    /// <summary>Leaves all captions of every n-th epoch empty. Default 0: none.</summary>
    public int? CaptionDropoutEveryNEpochs { get; init; }

    /// <summary>Share of tags left out, 0..1. Default 0.</summary>
    public double? CaptionTagDropoutRate { get; init; }

    /// <summary>How pictures are resized: <c>area</c>, <c>lanczos</c>, <c>bicubic</c>, <c>bilinear</c>, <c>nearest</c>, <c>box</c>. Default: area to shrink, lanczos to enlarge.</summary>
    public string? ResizeInterpolation { get; init; }

    /// <summary>What captions are taken from: <c>auto</c> (files, else class tokens), <c>finetune</c> (a file for every picture, no regularization), <c>dreambooth</c> (files, and regularization pictures), <c>keyword</c> (class tokens only, files are passed over). Default auto.</summary>
    public Captioning? Captioning { get; init; }

    /// <summary>Ending of caption files. Default <c>.txt</c>.</summary>
    public string? CaptionExtension { get; init; }

    /// <summary>Caption of pictures without a caption file.</summary>
    public string? ClassTokens { get; init; }

    /// <summary>Asks for a list of captions and sizes in the folder. Default false; it changes nothing here, sizes and captions are read anew in a moment.</summary>
    public bool? CacheInfo { get; init; }

    /// <summary>Uses a picture's alpha as a mask of the loss: what is transparent is not learnt. Default false.</summary>
    public bool? AlphaMask { get; init; }

    /// <summary>Further facts handed to the trainer. Default none; this version knows none.</summary>
    public bool HasCustomAttributes { get; init; }

    /// <summary>The folder of the pictures. Required in a subset.</summary>
    public string? ImageDir { get; init; }

    /// <summary>These are regularization pictures. Default false.</summary>
    public bool? IsReg { get; init; }

    /// <summary>A metadata file (JSON or JSONL, as kohya's tools write) with captions and tags, instead of caption files. Its keys are paths below <see cref="ImageDir"/>, or whole paths.</summary>
    public string? MetadataFile { get; init; }

    /// <summary>A folder of masks of the loss: one for each picture, of the same name and size; white is learnt, black is not.</summary>
    public string? ConditioningDataDir { get; init; }

    /// <summary>These settings, with gaps filled from <paramref name="outer"/>.</summary>
    public SubsetSettings Over(SubsetSettings outer) => this with
    {
        NumRepeats = NumRepeats ?? outer.NumRepeats,
        ShuffleCaption = ShuffleCaption ?? outer.ShuffleCaption,
        FlipAug = FlipAug ?? outer.FlipAug,
        ColorAug = ColorAug ?? outer.ColorAug,
        RandomCrop = RandomCrop ?? outer.RandomCrop,
        EnableWildcard = EnableWildcard ?? outer.EnableWildcard,
        FaceCropAugRange = FaceCropAugRange ?? outer.FaceCropAugRange,
        CaptionSeparator = CaptionSeparator ?? outer.CaptionSeparator,
        KeepTokensSeparator = KeepTokensSeparator ?? outer.KeepTokensSeparator,
        SecondarySeparator = SecondarySeparator ?? outer.SecondarySeparator,
        CaptionPrefix = CaptionPrefix ?? outer.CaptionPrefix,
        CaptionSuffix = CaptionSuffix ?? outer.CaptionSuffix,
        KeepTokens = KeepTokens ?? outer.KeepTokens,
        TokenWarmupMin = TokenWarmupMin ?? outer.TokenWarmupMin,
        TokenWarmupStep = TokenWarmupStep ?? outer.TokenWarmupStep,
        CaptionDropoutRate = CaptionDropoutRate ?? outer.CaptionDropoutRate,
        CaptionDropoutEveryNEpochs = CaptionDropoutEveryNEpochs ?? outer.CaptionDropoutEveryNEpochs,
        CaptionTagDropoutRate = CaptionTagDropoutRate ?? outer.CaptionTagDropoutRate,
        ResizeInterpolation = ResizeInterpolation ?? outer.ResizeInterpolation,
        Captioning = Captioning ?? outer.Captioning,
        CaptionExtension = CaptionExtension ?? outer.CaptionExtension,
        ClassTokens = ClassTokens ?? outer.ClassTokens,
        CacheInfo = CacheInfo ?? outer.CacheInfo,
        AlphaMask = AlphaMask ?? outer.AlphaMask,
        HasCustomAttributes = HasCustomAttributes || outer.HasCustomAttributes,
    };

    /// <summary>The keys of a subset.</summary>
    public static SubsetSettings Map(SubsetSettings subset, TomlMap map) => MapShared(subset, map) with
    {
        ImageDir = map.OptionalPath("image_dir", subset.ImageDir),
        IsReg = map.OptionalFlag("is_reg", subset.IsReg),
        MetadataFile = map.OptionalPath("metadata_file", subset.MetadataFile),
        ConditioningDataDir = map.OptionalPath("conditioning_data_dir", subset.ConditioningDataDir),
    };

    /// <summary>The keys that may also stand further out.</summary>
    public static SubsetSettings MapShared(SubsetSettings subset, TomlMap map) => subset with
    {
        NumRepeats = map.OptionalWhole("num_repeats", subset.NumRepeats),
        ShuffleCaption = map.OptionalFlag("shuffle_caption", subset.ShuffleCaption),
        FlipAug = map.OptionalFlag("flip_aug", subset.FlipAug),
        ColorAug = map.OptionalFlag("color_aug", subset.ColorAug),
        RandomCrop = map.OptionalFlag("random_crop", subset.RandomCrop),
        EnableWildcard = map.OptionalFlag("enable_wildcard", subset.EnableWildcard),
        FaceCropAugRange = map.Numbers("face_crop_aug_range", subset.FaceCropAugRange),
        CaptionSeparator = map.OptionalText("caption_separator", subset.CaptionSeparator),
        KeepTokensSeparator = map.OptionalText("keep_tokens_separator", subset.KeepTokensSeparator),
        SecondarySeparator = map.OptionalText("secondary_separator", subset.SecondarySeparator),
        CaptionPrefix = map.OptionalText("caption_prefix", subset.CaptionPrefix),
        CaptionSuffix = map.OptionalText("caption_suffix", subset.CaptionSuffix),
        KeepTokens = map.OptionalWhole("keep_tokens", subset.KeepTokens),
        TokenWarmupMin = map.OptionalWhole("token_warmup_min", subset.TokenWarmupMin),
        TokenWarmupStep = map.OptionalNumber("token_warmup_step", subset.TokenWarmupStep),
        CaptionDropoutRate = map.OptionalNumber("caption_dropout_rate", subset.CaptionDropoutRate),
        CaptionDropoutEveryNEpochs = map.OptionalWhole("caption_dropout_every_n_epochs", subset.CaptionDropoutEveryNEpochs),
        CaptionTagDropoutRate = map.OptionalNumber("caption_tag_dropout_rate", subset.CaptionTagDropoutRate),
        ResizeInterpolation = map.OptionalText("resize_interpolation", subset.ResizeInterpolation),
        Captioning = map.OptionalChoice("captioning", subset.Captioning),
        CaptionExtension = map.OptionalText("caption_extension", subset.CaptionExtension),
        ClassTokens = map.OptionalText("class_tokens", subset.ClassTokens),
        CacheInfo = map.OptionalFlag("cache_info", subset.CacheInfo),
        AlphaMask = map.OptionalFlag("alpha_mask", subset.AlphaMask),
        HasCustomAttributes = map.HasTable("custom_attributes") || subset.HasCustomAttributes,
    };

    /// <summary>What the data room is asked for. Call it on settings whose gaps are filled.</summary>
    public SubsetOptions ToOptions() => new()
    {
        ImageDir = ImageDir,
        MetadataFile = MetadataFile,
        ConditioningDataDir = ConditioningDataDir,
        NumRepeats = NumRepeats ?? 1,
        IsReg = IsReg ?? false,
        ClassTokens = ClassTokens,
        Captioning = Captioning ?? Levain.Data.Captioning.Auto,
        CaptionExtension = CaptionExtension!,
        ShuffleCaption = ShuffleCaption ?? false,
        CaptionSeparator = CaptionSeparator!,
        KeepTokens = KeepTokens ?? 0,
        KeepTokensSeparator = KeepTokensSeparator,
        SecondarySeparator = SecondarySeparator,
        EnableWildcard = EnableWildcard ?? false,
        CaptionPrefix = CaptionPrefix,
        CaptionSuffix = CaptionSuffix,
        CaptionDropoutRate = CaptionDropoutRate ?? 0,
        CaptionDropoutEveryNEpochs = CaptionDropoutEveryNEpochs ?? 0,
        CaptionTagDropoutRate = CaptionTagDropoutRate ?? 0,
        TokenWarmupMin = TokenWarmupMin!.Value,
        TokenWarmupStep = TokenWarmupStep ?? 0,
        ColorAug = ColorAug ?? false,
        FlipAug = FlipAug ?? false,
        FaceCropAugRange = FaceCropAugRange is [var low, var high] ? (low, high) : null,
        RandomCrop = RandomCrop ?? false,
        AlphaMask = AlphaMask ?? false,
        ResizeInterpolation = ResizeInterpolation,
        CacheInfo = CacheInfo ?? false,
    };

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    /// <param name="problems">Where they go.</param>
    /// <param name="kohya">Whether kohya's limits hold: it takes any share for none or all, any count below the least for the least, and leaves out what has no repeats.</param>
    public void Check(Problems problems, bool kohya)
    {
        if (!kohya) CheckLimits(problems);
        problems.Require(CaptionSeparator is not "", "caption_separator", "is empty.", "Give the character between tags; a comma is usual.");
        if (ResizeInterpolation is { } resize && !Interpolations.Contains(resize))
            problems.Add("resize_interpolation", $"is \"{resize}\".", Nearest.Advice(resize, Interpolations));
        problems.Require(FaceCropAugRange is not { } range || range is [> 0, > 0] && (kohya || range[0] <= range[1]), "face_crop_aug_range", $"is [{string.Join(", ", FaceCropAugRange ?? [])}].",
            "Give two positive numbers, the smaller first: [1.0, 2.0].");
        problems.Require(!HasCustomAttributes, "custom_attributes", "is given, and this version knows none.", "Leave it out.");
        problems.Require(MetadataFile is null || IsReg is not true, "is_reg", "is true for a metadata file.", "Regularization pictures come from folders; put captions beside them.");
        problems.Require(ConditioningDataDir is null || RandomCrop is not true, "random_crop", "is true with masks, whose cut would not follow.", "Leave random_crop or conditioning_data_dir out.");
        problems.Require(ConditioningDataDir is null || AlphaMask is not true, "alpha_mask", "is true with a folder of masks.", "Take the masks from one place: leave alpha_mask or conditioning_data_dir out.");
    }

    private void CheckLimits(Problems problems)
    {
        problems.Require(NumRepeats is null or >= 1, "num_repeats", $"is {NumRepeats}.", "Use 1 or more.");
        problems.Require(KeepTokens is null or >= 0, "keep_tokens", $"is {KeepTokens}.", "Use 0 or more.");
        problems.Require(TokenWarmupMin is null or >= 0, "token_warmup_min", $"is {TokenWarmupMin}.", "Use 0 or more.");
        problems.Require(TokenWarmupStep is null or >= 0, "token_warmup_step", $"is {TokenWarmupStep}.", "Use 0 or more.");
        problems.Require(CaptionDropoutRate is null or >= 0 and <= 1, "caption_dropout_rate", $"is {CaptionDropoutRate}.", "Use 0 to 1; 0.05 is usual.");
        problems.Require(CaptionDropoutEveryNEpochs is null or >= 0, "caption_dropout_every_n_epochs", $"is {CaptionDropoutEveryNEpochs}.", "Use 0 or more.");
        problems.Require(CaptionTagDropoutRate is null or >= 0 and <= 1, "caption_tag_dropout_rate", $"is {CaptionTagDropoutRate}.", "Use 0 to 1; 0.1 is usual.");
    }

    /// <summary>Names of the ways to resize.</summary>
    public static IReadOnlyList<string> Interpolations { get; } = ["area", "bicubic", "bilinear", "box", "cubic", "lanczos", "linear", "nearest"];
}
