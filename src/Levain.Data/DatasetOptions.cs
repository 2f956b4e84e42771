using Levain.Core;

namespace Levain.Data;

/// <summary>One <c>[[datasets]]</c> table: subsets that share resolution, buckets and batches. Names and defaults are kohya's.</summary>
public sealed record DatasetOptions
{
    /// <summary>Folder whose sub-folders are named <c>repeats_class tokens</c>; each becomes a subset after <see cref="SubsetDefaults"/>. A folder of pictures is accepted as one subset.</summary>
    public string? TrainDataDir { get; init; }

    /// <summary>Regularization pictures, in the same layout as <see cref="TrainDataDir"/>.</summary>
    public string? RegDataDir { get; init; }

    /// <summary>Options of the subsets that come from <see cref="TrainDataDir"/> and <see cref="RegDataDir"/>.</summary>
    public SubsetOptions SubsetDefaults { get; init; } = new();

    /// <summary>The subsets, in order; those from folders follow behind.</summary>
    public IReadOnlyList<SubsetOptions> Subsets { get; init; } = [];

    /// <summary>Pictures in a batch.</summary>
    public int BatchSize { get; init; } = 1;

    /// <summary>Size pictures are brought to; with buckets, the area they may have. Required.</summary>
    public PixelSize? Resolution { get; init; }

    /// <summary>Sort pictures into sizes that fit their aspect instead of one size for all.</summary>
    public bool EnableBucket { get; init; }

    /// <summary>Shortest side of a bucket, px.</summary>
    public int MinBucketReso { get; init; } = 256;

    /// <summary>Longest side of a bucket, px.</summary>
    public int MaxBucketReso { get; init; } = 1024;

    /// <summary>Sides of buckets are multiples of this, px; itself a multiple of 8.</summary>
    public int BucketResoSteps { get; init; } = 64;

    /// <summary>Make buckets from the pictures' own sizes and never enlarge.</summary>
    public bool BucketNoUpscale { get; init; }

    /// <summary>Strength of the network for this dataset. Read and carried along as in kohya, whose training ignores it.</summary>
    public double NetworkMultiplier { get; init; } = 1;

    /// <summary>Seed of the split in <see cref="ValidationSplit"/>; null: the run's own random numbers.</summary>
    public long? ValidationSeed { get; init; }

    /// <summary>Share of pictures set aside for validation, 0..1.</summary>
    public double ValidationSplit { get; init; }

    /// <summary>Resampling of all subsets that name none; null: kohya's rule (area when both sides shrink, else Lanczos).</summary>
    public string? ResizeInterpolation { get; init; }

    /// <summary>Weight of the loss of regularization pictures.</summary>
    public double PriorLossWeight { get; init; } = 1;
}
