namespace Levain.Core;

/// <summary>What <c>compat = "kohya"</c> does about one of kohya's defects.</summary>
public enum DefectTreatment
{
    /// <summary>A flag of <see cref="Compat"/> repeats it.</summary>
    Repeated,

    /// <summary>It is never repeated: it crashes, or it concerns something that is done another way here.</summary>
    NeverRepeated,

    /// <summary>Both ways of running do what kohya does.</summary>
    Kept,
}

/// <summary>Something kohya's trainers do by mistake, as far as SD 1.x meets it.</summary>
/// <param name="Id">Its number; K-35 for example. Defects that are told apart further have a letter.</param>
/// <param name="Kohya">What kohya does.</param>
/// <param name="Default">What is done without the switch.</param>
/// <param name="Treatment">What the switch does.</param>
/// <param name="Flag">The flag of <see cref="Compat"/> that repeats it; null where none does.</param>
public sealed record KohyaDefect(string Id, string Kohya, string Default, DefectTreatment Treatment, string? Flag = null);

/// <summary>The defects that training for SD 1.x meets; docs/compat.md is printed from this list.</summary>
/// <remarks>Found in kohya-ss/sd-scripts 48d368f, by reading and by running it.</remarks>
public static class KohyaDefects
{
    /// <summary>All of them, by number.</summary>
    public static IReadOnlyList<KohyaDefect> All { get; } =
    [
        Repeats("K-01", "A network that begins with the values of a file computes with the alpha that was asked for and is saved with the file's.", "The file's alpha counts.", nameof(Compat.WarmStartKeepsScale)),
        Repeats("K-02", "After a network was merged into the base, and with a conv_dim of 0, the trained one adapts linear layers and 1x1 convolutions of resnets too.", "What is merged changes nothing about what is trained, and a convolution rank of 0 leaves convolutions alone.", nameof(Compat.TargetsGrow)),
        Repeats("K-02b", "A network that takes its ranks from a file forgets dropouts and LoRA+ ratios.", "They hold.", nameof(Compat.FileRanksOnly)),
        Never("K-03", "One number for the learning-rate weights of the blocks down or up is taken for the name of a curve; too long a list with only one of both given stops on an exception.", "One number holds for all blocks; a wrong length is told."),
        new("K-05", "A resumed run counts its steps from 0 again, or from the remainder within the epoch.", "A snapshot holds the step itself.", DefectTreatment.Repeated),
        new("K-06", "A resumed run with accumulated gradients starts in the wrong epoch.", "Batches and steps are counted apart.", DefectTreatment.Repeated),
        new("K-07", "Resuming twice starts at the step of the second run alone.", "A snapshot holds the step itself.", DefectTreatment.Repeated),
        new("K-08", "A resumed run draws another order of pictures than the unbroken one.", "A resumed run goes on with the very next batch.", DefectTreatment.Repeated),
        Never("K-09", "A picture's size is taken from a cache file whose name only begins like the picture's.", "The size comes from the picture."),
        Never("K-10", "Cached captions are never read anew.", "Captions are read anew."),
        Repeats("K-12", "In a metadata file, an entry without a caption loses its tags where wildcards are on.", "Tags become the caption.", nameof(Compat.MetadataTagsLost)),
        Never("K-13", "Buckets that never enlarge ignore their limits; a side shorter than a step becomes nothing and stops the run.", "A side is one step at least."),
        Never("K-15", "A latent cache counts as valid where its file is there.", "A cached latent is keyed by the picture's bytes, the VAE and the settings."),
        Never("K-16", "A stale alpha mask in a cache switches masked loss on.", "Masks are not cached."),
        Repeats("K-19", "The first batch of each epoch comes from the order of the epoch before, and captions dropped by epoch or warmed up by step lag behind.", "Epoch and step are set before a batch is fetched.", nameof(Compat.StaleFirstBatch)),
        new("K-20", "Worker processes begin every epoch with the order of before the first, and all draw the same chances; what comes out depends on their number.",
            "Pictures are read ahead with one order and one chance.", DefectTreatment.Repeated),
        Repeats("K-21", "The pictures set aside for validation may overlap the others by one.", "Every picture is in one part only.", nameof(Compat.OverlappingValidation)),
        Repeats("K-21b", "Validation pictures vary as in training (mirrored, cropped, captions shuffled and dropped, always as in epoch 0); datasets with masks or a metadata file are not split but used whole, with their repeats, on both sides.",
            "They are looked at as they are, and every dataset is split.", nameof(Compat.ValidationVaries)),
        Repeats("K-22", "A dataset with mask pictures never learns of epochs and steps, so that captions dropped by epoch are always empty, tag warm-ups of so many steps stand still, and those of a share of all steps do nothing; masks lie in the named folder itself and are brought to the bucket's size without the cut their picture gets, in the dataset's way of resizing; metadata says nothing of its folders.",
            "It learns of both, a mask is cut as its picture is, and metadata tells its folders.", nameof(Compat.MasksApart)),
        Repeats("K-23", "Weights by signal-to-noise ratio come from the schedule before it is brought to zero terminal SNR.", "They come from the schedule that is trained.", nameof(Compat.SnrBeforeZeroTerminal)),
        new("K-25", "After a resume the average loss counts empty slots as 0.", "The average is part of a snapshot.", DefectTreatment.Repeated),
        Repeats("K-25b", "Validation losses by step made in the first epoch pile up in one average, which later ones replace only in part.", "Each is the mean of its own pass.", nameof(Compat.ValidationPilesUp)),
        Never("K-26", "Sample pictures are drawn with the LoRA's dropouts on.", "Dropouts are off while drawing."),
        Never("K-27", "A prompt that begins like an option (\"n girl\") is read as one.", "An option stands behind \" --\" only."),
        Repeats("K-28", "Files saved by step count the epoch from 0 in ss_epoch; so do the steps' and the last .ckpt of a whole model.", "The epoch is counted from 1.", nameof(Compat.ZeroBasedStepEpoch)),
        Repeats("K-29", "The learning rates logged with a step are those of the next, and groups are logged again under numbers and wrong names.", "The rates that were used, once.", nameof(Compat.LogsNextRates)),
        new("K-30", "An alpha that was never given, or is a whole number in a config file, is saved as a 64-bit whole number.", "The alpha is a 32-bit number.", DefectTreatment.Repeated),
        Repeats("K-31", "A trained word's gradient is clipped by the length of the gradient of the whole token table.", "The word's own gradient counts.", nameof(Compat.WholeTableTrained)),
        Never("K-32", "train_db.py stops on an exception at the step at which its text encoder is to rest.", "The text encoder rests from then on; with the switch the setting is refused."),
        Never("K-33", "fine_tune.py stops on an exception where latents are not cached.", "It works; with the switch the setting is refused."),
        Repeats("K-35", "Transparent pictures lose their alpha without being put on a ground; rotation by EXIF and wide colours are ignored; 16-bit gray is cut.", "Pictures are read as they look.", nameof(Compat.RawPixels)),
        Repeats("K-35b", "Only .png .jpg .jpeg .webp .bmp, all in lower or all in upper case, count as pictures.", "Every picture that can be read counts.", nameof(Compat.NarrowImageNames)),
        new("K-37", "Of more regularization pictures than are needed, only the first by name are used.", "The same, and a warning says how many are never used.", DefectTreatment.Kept),
        new("K-38", "Adapters whose learning rate is 0 stay in the file, as zeros.", "The same: leave them out with network.train.", DefectTreatment.Kept),
        Repeats("K-38b", "The gradients of such adapters are never cleared; they grow, and count in the norm that is clipped.", "They are not computed.", nameof(Compat.UntrainedGradientsGrow)),
        Repeats("K-39", "Numbers of a latent that are none become 0.", "The run stops and names the picture.", nameof(Compat.NanLatentsAreZero)),
        Never("K-40", "Latents cached in memory have the VAE's precision, those on disk 32 bits.", "32 bits in both."),
        Repeats("K-41", "The limit of weight norms is applied after every batch, also between two steps.", "It is applied after a step.", nameof(Compat.NormLimitEveryBatch)),
        Never("K-42", "Sample pictures are drawn with clipped latents (DDIM, Heun) and with prompts cut another way than captions.", "Samplers are those of the webui."),
        new("K-43", "1600 steps, where neither steps nor epochs are given, become more epochs with accumulated gradients.", "The same; levain check shows what it comes to.", DefectTreatment.Kept),
        Never("K-45", "A run without a seed cannot be resumed in the same order.", "The seed that was drawn is part of a snapshot."),
        Repeats("K-50", "A folder of pictures that is not there is passed over, and the run trains on the others.", "The missing folder is told.", nameof(Compat.MissingFoldersPassedOver)),
        Repeats("K-51", "Without buckets and cached latents, a picture of another size than the resolution stops the run, unless it is cut at random or around a face.", "It is resized and cut in the middle.", nameof(Compat.PicturesFitExactly)),
        Repeats("K-52", "A folder that a dataset file names with a slash at the end has no name in the metadata.", "It has its own.", nameof(Compat.SlashHidesName)),
        Repeats("K-60", "A metadata file's image_size decides a picture's bucket whatever size it has; of pictures that two metadata files of a dataset call the same only the last is used, in the first's place.", "Sizes come from the pictures, and all are used.", nameof(Compat.MetadataDecides)),
        Repeats("K-61", "A folder of regularization pictures that is not there, or whose pictures lie in no numbered folder, is passed over.", "A missing folder is told; loose pictures are one subset.", nameof(Compat.LooseRegPassedOver)),
        Repeats("K-62", "train_db.py, fine_tune.py and train_textual_inversion.py set pictures aside where a dataset file says so, and never look at them.", "Whatever is trained is judged by them.", nameof(Compat.OnlyNetworksJudged)),
        new("K-63", "fine_tune.py reads alpha masks, and its loss never looks at them.", "Masks weight the loss whatever is trained.", DefectTreatment.Repeated),
        Repeats("K-64", "Latents cached on disk for one dataset are taken for the others of the same pictures, whatever resolution these ask for.", "Every dataset has its own.", nameof(Compat.OneFileForAll)),
        Repeats("K-70", "train_db.py, fine_tune.py and train_textual_inversion.py draw samples with, and save, the point at which a schedule-free optimizer trains.", "Its average is drawn with and saved, as of a network.", nameof(Compat.TrainingPointSaved)),
        new("K-71", "Numbers that make no sense are computed with: with no timestep between --min_timestep and --max_timestep every picture has the upper one, and discounts, gammas and perturbations may lie beyond their range.", "They are refused.", DefectTreatment.Repeated),
        Repeats("K-72", "A run whose loss is no number, or that learns nothing, goes on to its end.", "It stops and says what helps.", nameof(Compat.TrainsOn)),
        Repeats("K-80", "With a clip skip the text encoder's last blocks are computed and thrown away; dropouts and DyLoRA's ranks are drawn in them nevertheless.", "They are not computed.", nameof(Compat.UnusedBlocksDraw)),
        Repeats("K-81", "A rank_dropout or module_dropout of 0 of networks.lora and networks.lora_fa draws as many numbers as any other.", "Nothing is drawn.", nameof(Compat.ZeroDropoutsDraw)),
        Repeats("K-90", "OneCycleLR counts every batch against total_steps, so that with accumulated gradients its rate stands still long before the end; in a run of more steps than total_steps it stands still too.",
            "It counts updates, and total_steps must reach the end of the run.", nameof(Compat.OneCycleFreezes)),
        Never("K-91", "DAdaptSGD divides by 0 and stops where its first rate is 0, as with any warm-up.", "It waits for the first rate above 0; with the switch the warm-up is refused."),
        new("K-82", "Validation looks at both kinds of DyLoRA with ranks drawn for every pass.", "All ranks take part.", DefectTreatment.Repeated),
        Repeats("L-01", "LyCORIS 4.1.3 adapts the time embedding in the presets attn-mlp and unet-transformer-only, and cannot attach full, full-lin and unet-only at all.", "Every preset adapts what its name says, as in LyCORIS 3.3.0.", nameof(Compat.LycorisTimeEmbedding)),
        Repeats("L-02", "LyCORIS' DyLoRA trains with alpha ÷ blocks, which its file and every loader take for alpha ÷ ranks. Likewise: a whole LoKr with rs_lora is √rank times as strong in training (L-03); GLoRA with rs_lora saves an alpha that is √rank too small (L-04); GLoRA and norms keep the share that rank dropout should drop, and norms draw it twice (L-05); a limit of norms reports zeros while it limits nothing (L-06).", "What is trained is what loaders make of the file; the share dropped is the share given; norms are reported.", nameof(Compat.LycorisNumbers)),
        Never("L-07", "LyCORIS' merge of LoHa and LoKr multiplies by the scale twice and drops the scalar.", "What is merged is what was trained."),
        Never("L-08", "LyCORIS' preset ia3 matches no layer.", "It matches the ends of names, as it was meant to."),
        Never("L-09", "LyCORIS' bypass mode stops on an exception for OFT and BOFT over convolutions.", "It works on convolutions too."),
        new("L-10", "LyCORIS takes decompose_both=False for true, and disable_conv_cp=True for use_tucker=True.", "As LyCORIS on its command line; network.lokr.decompose_both and network.tucker mean what they say.", DefectTreatment.Kept),
        Never("L-11", "kohya's DyLoRA ignores the network's strength. Both kinds draw ranks for sample pictures too, and anew where a block is computed again for its gradient, which then belongs to neither.", "Strength counts, pictures are drawn with all ranks, and a block is computed again with its own."),
        new("L-20", "LyCORIS measures norms with the rows that rank dropout draws, one draw more for each LoCon, LoHa and LoKr.", "Norms are those of the whole delta.", DefectTreatment.Repeated),
        new("L-21", "Before LyCORIS makes a network of a file it makes one with its defaults, whose numbers are drawn and thrown away.", "Nothing is drawn for it.", DefectTreatment.Repeated),
        new("L-22", "With dora_wd and bypass_mode LyCORIS saves magnitudes that take no part in anything.", "The two are refused together.", DefectTreatment.Repeated),
    ];

    private static KohyaDefect Repeats(string id, string kohya, string otherwise, string flag) => new(id, kohya, otherwise, DefectTreatment.Repeated, flag);

    private static KohyaDefect Never(string id, string kohya, string otherwise) => new(id, kohya, otherwise, DefectTreatment.NeverRepeated);
}
