namespace Levain.Core;

/// <summary>
/// Which of kohya's evident mistakes a run repeats. The run file's top-level <c>compat = "kohya"</c> sets all of them, so that a
/// run gives kohya's numbers; without it every flag is off and the sound thing is done. One flag per defect, named by its id.
/// </summary>
public sealed record Compat
{
    /// <summary>No defect is repeated: the default.</summary>
    public static Compat Sound { get; } = new();

    /// <summary>All of kohya's results-changing defects are repeated.</summary>
    public static Compat Kohya { get; } = new()
    {
        RawPixels = true,
        WarmStartKeepsScale = true,
        TargetsGrow = true,
        FileRanksOnly = true,
        StaleFirstBatch = true,
        ZeroBasedStepEpoch = true,
        NarrowImageNames = true,
        OverlappingValidation = true,
        ValidationVaries = true,
        ValidationPilesUp = true,
        MetadataTagsLost = true,
        MetadataDecides = true,
        LooseRegPassedOver = true,
        OnlyNetworksJudged = true,
        OneFileForAll = true,
        MasksApart = true,
        WholeTableTrained = true,
        SnrBeforeZeroTerminal = true,
        LogsNextRates = true,
        UntrainedGradientsGrow = true,
        NanLatentsAreZero = true,
        NormLimitEveryBatch = true,
        MissingFoldersPassedOver = true,
        PicturesFitExactly = true,
        SlashHidesName = true,
        OneCycleFreezes = true,
        TrainingPointSaved = true,
        TrainsOn = true,
        LycorisTimeEmbedding = true,
        LycorisNumbers = true,
        UnusedBlocksDraw = true,
        ZeroDropoutsDraw = true,
    };

    /// <summary>Pictures are read as kohya reads them: EXIF rotation ignored, alpha dropped without compositing, 16-bit gray clipped.</summary>
    public bool RawPixels { get; init; }

    /// <summary>K-01: a network that begins with the values of a file keeps the scale of its own alpha, and is saved with the file's.</summary>
    public bool WarmStartKeepsScale { get; init; }

    /// <summary>K-02: networks made from files beforehand (merged into the base) have the next one adapt linear layers and 1×1 convolutions of resnets too, as does a convolution rank of 0.</summary>
    public bool TargetsGrow { get; init; }

    /// <summary>K-02b: a network that takes its ranks from a file has no dropouts and LoRA+ ratios, whatever was asked for.</summary>
    public bool FileRanksOnly { get; init; }

    /// <summary>K-19: the first batch of each epoch comes from the order of the epoch before, and the dataset's epoch and step counters lag.</summary>
    public bool StaleFirstBatch { get; init; }

    /// <summary>Only <c>.png .jpg .jpeg .webp .bmp</c>, all in lower or all in upper case, count as pictures; GIF, TIFF, AVIF and <c>.Jpg</c> are passed over.</summary>
    public bool NarrowImageNames { get; init; }

    /// <summary>K-21: the validation split is drawn with Python's shuffle and rounded up on both sides, so that one picture can be in both parts.</summary>
    public bool OverlappingValidation { get; init; }

    /// <summary>K-21b: validation pictures are mirrored, cropped and coloured, and their captions shuffled and dropped, as in training, in epoch 0 for ever; masks and metadata files are not split but used whole, with their repeats, on both sides.</summary>
    public bool ValidationVaries { get; init; }

    /// <summary>K-25b: validation losses by step made in the first epoch pile up in one average, which later ones only partly replace.</summary>
    public bool ValidationPilesUp { get; init; }

    /// <summary>K-12: with wildcards, a metadata entry without a caption loses its tags, and one without tags gains a separator.</summary>
    public bool MetadataTagsLost { get; init; }

    /// <summary>K-60: a metadata file's <c>image_size</c> counts as a picture's size, and of pictures with the same name in a dataset the last takes the first's place.</summary>
    public bool MetadataDecides { get; init; }

    /// <summary>K-61: a folder of regularization pictures that is not there, or whose pictures lie in no numbered sub-folder, counts as none.</summary>
    public bool LooseRegPassedOver { get; init; }

    /// <summary>K-62: pictures set aside are looked at only where a network is trained.</summary>
    public bool OnlyNetworksJudged { get; init; }

    /// <summary>K-64: latents that a run caches beside a picture hold for all its datasets, whatever size and way of resizing each asks for.</summary>
    public bool OneFileForAll { get; init; }

    /// <summary>K-22: a dataset with mask pictures is never told of epochs and steps, so that captions dropped by epoch are always empty and warm-ups stand still; masks are brought to a bucket's size without the cut their picture gets; metadata says nothing of its folders.</summary>
    public bool MasksApart { get; init; }

    /// <summary>K-31: a trained word's gradient is clipped by the length of the whole token table's, and optimizers see all of the table.</summary>
    public bool WholeTableTrained { get; init; }

    /// <summary>K-28: files saved in the middle of an epoch count it from 0 in <c>ss_epoch</c>; so do the steps' and the last <c>.ckpt</c> of a whole model.</summary>
    public bool ZeroBasedStepEpoch { get; init; }

    /// <summary>K-23: weights by signal-to-noise ratio come from the schedule before it is brought to zero terminal SNR.</summary>
    public bool SnrBeforeZeroTerminal { get; init; }

    /// <summary>K-90: a one-cycle schedule counts batches against its steps and stands still when they are used up.</summary>
    public bool OneCycleFreezes { get; init; }

    /// <summary>K-29: the learning rates logged with a step are those of the next one, and groups are logged a second time under numbers.</summary>
    public bool LogsNextRates { get; init; }

    /// <summary>K-38: gradients of adapters whose rate is 0 are never cleared, so they grow from step to step and count in the norm that is clipped.</summary>
    public bool UntrainedGradientsGrow { get; init; }

    /// <summary>K-39: numbers of a latent that are none become 0 instead of stopping the run.</summary>
    public bool NanLatentsAreZero { get; init; }

    /// <summary>K-41: the limit of weight norms is applied after every batch, also between two steps.</summary>
    public bool NormLimitEveryBatch { get; init; }

    /// <summary>K-70: whole models and words trained by a schedule-free optimizer are drawn with and saved at its training point instead of its average.</summary>
    public bool TrainingPointSaved { get; init; }

    /// <summary>K-72: losses that are no numbers, and updates that change nothing, are told and trained on with.</summary>
    public bool TrainsOn { get; init; }
    /// <summary>K-50: a folder of pictures that is not there is passed over.</summary>
    public bool MissingFoldersPassedOver { get; init; }

    /// <summary>K-51: without buckets and cached latents, pictures of another size than the resolution are refused unless they are cut at random or around a face.</summary>
    public bool PicturesFitExactly { get; init; }

    /// <summary>K-52: a folder that a dataset file names with a slash at the end has no name in the metadata.</summary>
    public bool SlashHidesName { get; init; }

    /// <summary>L-01: LyCORIS' presets attn-mlp and unet-transformer-only adapt the two layers of the time embedding too.</summary>
    public bool LycorisTimeEmbedding { get; init; }

    /// <summary>L-02 to L-06: scales and dropouts of DyLoRA, LoKr, GLoRA and Norm, and norms reported, as in LyCORIS.</summary>
    public bool LycorisNumbers { get; init; }

    /// <summary>K-80: with a clip skip, adapters on the blocks of the text encoder that are not used draw their dropouts and ranks too.</summary>
    public bool UnusedBlocksDraw { get; init; }

    /// <summary>K-81: a rank or module dropout of 0 draws its numbers, and drops nothing.</summary>
    public bool ZeroDropoutsDraw { get; init; }
}
