using Levain.Core;

namespace Levain.Training.Kohya;

/// <summary>What the subsets of a dataset take their captions and masks from.</summary>
[Flags]
internal enum SubsetKinds
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Folders of pictures with caption files.</summary>
    Folders = 1,

    /// <summary>Metadata files.</summary>
    Metadata = 2,

    /// <summary>Folders of pictures with folders of masks.</summary>
    Masks = 4,

    /// <summary>Any of them.</summary>
    All = Folders | Metadata | Masks,
}

/// <summary>Tables of a dataset file.</summary>
[Flags]
internal enum DatasetLevels
{
    /// <summary><c>[general]</c>.</summary>
    General = 1,

    /// <summary><c>[[datasets]]</c>.</summary>
    Dataset = 2,

    /// <summary><c>[[datasets.subsets]]</c>.</summary>
    Subset = 4,
}

/// <summary>Which keys each of kohya's trainers takes in a dataset file, table by table. Everything else it refuses before it begins.</summary>
/// <remarks>kohya-ss/sd-scripts 48d368f, <c>library/config_util.py</c>, <c>ConfigSanitizer</c>.</remarks>
internal sealed class DatasetFileSchema
{
    private const DatasetLevels Outer = DatasetLevels.General | DatasetLevels.Dataset;
    private const DatasetLevels Every = Outer | DatasetLevels.Subset;
    private const SubsetKinds Captioned = SubsetKinds.Folders | SubsetKinds.Masks;

    private static readonly Form Flag = new("true or false", value => value is bool);
    private static readonly Form Whole = new("a whole number", value => value is long) { FlagIsNumber = true };
    private static readonly Form Number = new("a number", value => value is long or double) { FlagIsNumber = true };
    private static readonly Form Decimal = new("a number with decimals, 1.0; kohya refuses whole ones", value => value is double);
    private static readonly Form Text = new("a text in quotes", value => value is string);
    private static readonly Form Table = new("a table", value => value is TomlTable);
    private static readonly Form Decimals = new("two numbers with decimals, [1.0, 2.0]; kohya refuses whole ones", value => value is List<TomlEntry> { Count: 2 } pair && pair.All(item => item.Value is double));
    private static readonly Form Size = new("a whole number of px, or [width, height]", value => value is long || value is List<TomlEntry> { Count: 2 } sides && sides.All(item => item.Value is long));

    private static readonly Key[] Keys =
    [
        new("batch_size", Whole, Outer),
        new("bucket_no_upscale", Flag, Outer),
        new("bucket_reso_steps", Whole, Outer),
        new("enable_bucket", Flag, Outer),
        new("max_bucket_reso", Whole, Outer),
        new("min_bucket_reso", Whole, Outer),
        new("network_multiplier", Decimal, Outer),
        new("resolution", Size, Outer),
        new("validation_seed", Whole, Outer),
        new("validation_split", Decimal, Outer),

        new("caption_prefix", Text, Every),
        new("caption_separator", Text, Every),
        new("caption_suffix", Text, Every),
        new("color_aug", Flag, Every),
        new("custom_attributes", Table, Every),
        new("enable_wildcard", Flag, Every),
        new("face_crop_aug_range", Decimals, Every),
        new("flip_aug", Flag, Every),
        new("keep_tokens", Whole, Every),
        new("keep_tokens_separator", Text, Every),
        new("num_repeats", Whole, Every),
        new("random_crop", Flag, Every),
        new("resize_interpolation", Text, Every),
        new("secondary_separator", Text, Every),
        new("shuffle_caption", Flag, Every),
        new("token_warmup_min", Whole, Every),
        new("token_warmup_step", Number, Every),

        new("caption_dropout_every_n_epochs", Whole, Every) { Of = Droppers },
        new("caption_dropout_rate", Number, Every) { Of = Droppers },
        new("caption_tag_dropout_rate", Number, Every) { Of = Droppers },

        new("cache_info", Flag, Every) { Kinds = Captioned },
        new("caption_extension", Text, Every) { Kinds = Captioned },
        new("class_tokens", Text, Every) { Kinds = SubsetKinds.Folders },

        new("alpha_mask", Flag, DatasetLevels.Subset) { Kinds = SubsetKinds.Folders | SubsetKinds.Metadata },
        new("conditioning_data_dir", Text, DatasetLevels.Subset) { Kinds = SubsetKinds.Masks, Required = SubsetKinds.Masks },
        new("image_dir", Text, DatasetLevels.Subset) { Required = Captioned },
        new("is_reg", Flag, DatasetLevels.Subset) { Kinds = SubsetKinds.Folders },
        new("metadata_file", Text, DatasetLevels.Subset) { Kinds = SubsetKinds.Metadata, Required = SubsetKinds.Metadata },
    ];

    private const KohyaTrainers Droppers = KohyaTrainers.All & ~KohyaTrainers.TextualInversion;

    private readonly KohyaTrainers trainer;
    private readonly SubsetKinds supported;

    /// <param name="trainer">One of kohya's trainers.</param>
    /// <param name="masked">Whether <c>--masked_loss</c> is given.</param>
    public DatasetFileSchema(KohyaTrainers trainer, bool masked)
    {
        this.trainer = trainer;
        supported = trainer switch
        {
            KohyaTrainers.FineTune => SubsetKinds.Metadata,
            KohyaTrainers.DreamBooth => SubsetKinds.Folders,
            _ => SubsetKinds.Folders | SubsetKinds.Metadata,
        };
        if (masked && trainer is not KohyaTrainers.FineTune) supported |= SubsetKinds.Masks;
    }

    /// <summary>Adds everything the trainer refuses to <paramref name="problems"/>. Python's True is a number too: where it stands for one, it becomes 1.</summary>
    /// <returns>Whether the trainer takes the file.</returns>
    public bool Check(TomlTable root, Problems problems)
    {
        var before = problems.All.Count;
        foreach (var key in root.Keys.Where(key => key is not ("general" or "datasets")))
            problems.Add(key, "stands outside of all tables, where kohya refuses it.", "Put it below [general] or [[datasets]].");
        if (root["general"] is { } general)
        {
            if (general.Value is TomlTable table) CheckKeys(table, DatasetLevels.General, supported, problems.In("general"));
            else problems.Add("general", $"is {general.Described}.", "Give a table: put [general] on a line of its own and its settings below.");
        }
        var datasets = Tables(root, "datasets", problems);
        for (var i = 0; i < datasets.Count; i++) CheckDataset(datasets[i], problems.In($"datasets[{i}]"));
        return problems.All.Count == before;
    }

    private void CheckDataset(TomlTable dataset, Problems problems)
    {
        var subsets = Tables(dataset, "subsets", problems);
        var kind = KindOf(subsets);
        if (kind is SubsetKinds.None)
        {
            problems.Add("subsets", $"has metadata files for {subsets.Count(subset => subset["metadata_file"] is not null)} of {subsets.Count} subsets, which kohya refuses.", "Put those without one into a dataset of their own.");
            return;
        }
        CheckKeys(dataset, DatasetLevels.Dataset, kind, problems);
        for (var i = 0; i < subsets.Count; i++)
        {
            var at = problems.In($"subsets[{i}]");
            CheckKeys(subsets[i], DatasetLevels.Subset, kind, at);
            foreach (var key in Keys.Where(key => key.Required.HasFlag(kind) && subsets[i][key.Name] is null))
                at.Add(key.Name, "is not given.", key.Name switch
                {
                    "metadata_file" => $"Name the metadata file; {trainer.FileName()} needs one here.",
                    "conditioning_data_dir" => "Name the folder of masks, or leave --masked_loss out.",
                    _ => "Name the folder of the pictures.",
                });
        }
    }

    /// <summary>What the trainer takes the subsets of a dataset for; none where they are mixed.</summary>
    private SubsetKinds KindOf(IReadOnlyList<TomlTable> subsets)
    {
        var masks = supported.HasFlag(SubsetKinds.Masks);
        if (!supported.HasFlag(SubsetKinds.Folders)) return SubsetKinds.Metadata;
        if (!supported.HasFlag(SubsetKinds.Metadata)) return masks ? SubsetKinds.Masks : SubsetKinds.Folders;
        if (masks && subsets.All(subset => subset["conditioning_data_dir"] is not null)) return SubsetKinds.Masks;
        if (subsets.All(subset => subset["metadata_file"] is not null)) return SubsetKinds.Metadata;
        return subsets.All(subset => subset["metadata_file"] is null) ? SubsetKinds.Folders : SubsetKinds.None;
    }

    private void CheckKeys(TomlTable table, DatasetLevels level, SubsetKinds kinds, Problems problems)
    {
        foreach (var name in table.Keys.Where(name => level is not DatasetLevels.Dataset || name != "subsets"))
        {
            var entry = table[name]!;
            var key = Keys.FirstOrDefault(key => key.Name == name);
            if (key is null)
                problems.Add(name, "is not a key of kohya's dataset file.", Nearest.Advice(name, [.. Keys.Where(key => Takes(key, level, kinds)).Select(key => key.Name)]));
            else if (!Takes(key, level, kinds))
                problems.Add(name, $"stands where {trainer.FileName()} refuses it.", Instead(key, level));
            else if (key.Form.FlagIsNumber && entry.Value is bool flag)
                table[name] = entry with { Value = flag ? 1L : 0L };
            else if (!key.Form.Fits(entry.Value))
                problems.Add(name, $"is {entry.Described}.", $"Give {key.Form.Words}.");
        }
    }

    private bool Takes(Key key, DatasetLevels level, SubsetKinds kinds) => key.Levels.HasFlag(level) && (key.Kinds & kinds) != 0 && key.Of.HasFlag(trainer);

    private string Instead(Key key, DatasetLevels level)
    {
        if (!key.Of.HasFlag(trainer) || (key.Kinds & supported) == 0)
            return key.Name is "conditioning_data_dir" && trainer is not KohyaTrainers.FineTune ? "Give --masked_loss too." : "Leave it out: this trainer knows it nowhere.";
        if (!key.Levels.HasFlag(level)) return key.Levels is DatasetLevels.Subset ? "Put it into [[datasets.subsets]]." : "Put it into [[datasets]] or [general].";
        return key.Kinds switch
        {
            SubsetKinds.Masks => "Masks are for all subsets of a dataset or for none: put those without them into one of their own.",
            SubsetKinds.Folders => "Leave it out: it is for folders of pictures without masks.",
            Captioned => "Leave it out: it is for folders of pictures.",
            _ => "Leave it out: it is for subsets without masks.",
        };
    }

    private static IReadOnlyList<TomlTable> Tables(TomlTable table, string key, Problems problems)
    {
        if (table[key] is not { } entry) return [];
        if (entry.Value is List<TomlEntry> list && list.All(item => item.Value is TomlTable)) return [.. list.Select(item => (TomlTable)item.Value)];
        problems.Add(key, $"is {entry.Described}.", $"Give a list of tables: put [[{key}]] on a line of its own for each.");
        return [];
    }

    private sealed record Form(string Words, Func<object, bool> Fits)
    {
        public bool FlagIsNumber { get; init; }
    }

    private sealed record Key(string Name, Form Form, DatasetLevels Levels)
    {
        public SubsetKinds Kinds { get; init; } = SubsetKinds.All;

        // Kinds of subsets that must have it.
        public SubsetKinds Required { get; init; }

        public KohyaTrainers Of { get; init; } = KohyaTrainers.All;
    }
}
