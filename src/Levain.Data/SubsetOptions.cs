namespace Levain.Data;

/// <summary>One <c>[[datasets.subsets]]</c> table: a folder of pictures, or a metadata file, and how they are used. Names and defaults are kohya's.</summary>
public sealed record SubsetOptions
{
    /// <summary>Folder of the pictures; sub-folders are not searched.</summary>
    public string? ImageDir { get; init; }

    /// <summary>JSON or JSONL file with captions and tags; makes this a subset of a metadata dataset. Null: captions lie beside the pictures.</summary>
    public string? MetadataFile { get; init; }

    /// <summary>Folder with one mask for each picture, of the same name and size, for masked loss: white counts, black does not.</summary>
    public string? ConditioningDataDir { get; init; }

    /// <summary>How often an epoch uses each picture; a subset with less than 1 is left out.</summary>
    public long NumRepeats { get; init; } = 1;

    /// <summary>Whether these are regularization pictures: their number is balanced against the others, their loss weighted with <see cref="DatasetOptions.PriorLossWeight"/>.</summary>
    public bool IsReg { get; init; }

    /// <summary>What captions are taken from.</summary>
    public Captioning Captioning { get; init; }

    /// <summary>Caption of a picture that has none.</summary>
    public string? ClassTokens { get; init; }

    /// <summary>Ending of caption files; a missing dot is added.</summary>
    public string CaptionExtension { get; init; } = ".caption";

    /// <summary>Shuffle the tags of a caption each time it is used.</summary>
    public bool ShuffleCaption { get; init; }

    /// <summary>What separates tags in captions.</summary>
    public string CaptionSeparator { get; init; } = ",";

    /// <summary>Tags at the beginning that are neither shuffled nor dropped.</summary>
    public int KeepTokens { get; init; }

    /// <summary>Text that ends the kept tags; what follows a second one is kept at the end.</summary>
    public string? KeepTokensSeparator { get; init; }

    /// <summary>A separator that holds tags together while they are shuffled, replaced by <see cref="CaptionSeparator"/> afterwards.</summary>
    public string? SecondarySeparator { get; init; }

    /// <summary>Choose one of <c>{a|b|c}</c>, and one of several lines, each time a caption is used.</summary>
    public bool EnableWildcard { get; init; }

    /// <summary>Text set before every caption.</summary>
    public string? CaptionPrefix { get; init; }

    /// <summary>Text set behind every caption.</summary>
    public string? CaptionSuffix { get; init; }

    /// <summary>Share of uses with an empty caption, 0..1.</summary>
    public double CaptionDropoutRate { get; init; }

    /// <summary>Every so many epochs all captions are empty; 0: never.</summary>
    public int CaptionDropoutEveryNEpochs { get; init; }

    /// <summary>Chance of each tag that is not kept to be left out, 0..1.</summary>
    public double CaptionTagDropoutRate { get; init; }

    /// <summary>Tags that are not kept, at the first step of the warm-up.</summary>
    public int TokenWarmupMin { get; init; } = 1;

    /// <summary>Steps until all tags are used; below 1 a share of all steps; 0: from the start.</summary>
    public double TokenWarmupStep { get; init; }

    /// <summary>Shift hue or brightness a little at random.</summary>
    public bool ColorAug { get; init; }

    /// <summary>Mirror pictures with a chance of one half.</summary>
    public bool FlipAug { get; init; }

    /// <summary>Cut around the face named in the file name (<c>_cx_cy_w_h</c>) so that it fills between 1/high and 1/low of the side; without buckets only.</summary>
    public (double Low, double High)? FaceCropAugRange { get; init; }

    /// <summary>Cut at a random place instead of the middle.</summary>
    public bool RandomCrop { get; init; }

    /// <summary>Use the alpha channel as a mask of the loss.</summary>
    public bool AlphaMask { get; init; }

    /// <summary>Resampling of this subset: <c>lanczos</c>, <c>area</c>, <c>bicubic</c>, <c>bilinear</c>, <c>nearest</c>, <c>box</c>; null: the dataset's.</summary>
    public string? ResizeInterpolation { get; init; }

    /// <summary>kohya's list of captions and sizes beside the pictures. Accepted; Levain reads captions and headers anew, which is fast and cannot be stale.</summary>
    public bool CacheInfo { get; init; }

    /// <summary>Free table handed on to the training step.</summary>
    public IReadOnlyDictionary<string, object?>? CustomAttributes { get; init; }
}
