using Levain.Core;

namespace Levain.Training.Settings;

/// <summary>The <c>[output]</c> table: what is written, where, how often.</summary>
public sealed record OutputSettings
{
    /// <summary>Folder of everything the run writes. Default <c>output</c> beside the run file.</summary>
    public string Folder { get; init; } = "output";

    /// <summary>Name of the network file without its extension; null: <c>last</c> for the final one, <c>epoch</c> and <c>at</c> for those on the way, as in kohya.</summary>
    public string? Name { get; init; }

    /// <summary>Also saves after every n-th epoch (never the last: that one has the final name). Null: not.</summary>
    public int? SaveEveryEpochs { get; init; }

    /// <summary>Also saves after every n-th step. Null: not.</summary>
    public int? SaveEverySteps { get; init; }

    /// <summary>Saves about this many times over the run, at epoch ends; overrides <see cref="SaveEveryEpochs"/>. Null: not.</summary>
    public int? SaveEpochRatio { get; init; }

    /// <summary>Keeps this many of the files saved by epoch and deletes older ones. Null: all.</summary>
    public int? KeepLastEpochs { get; init; }

    /// <summary>Keeps the files of about this many last steps and deletes older ones. Null: all.</summary>
    public int? KeepLastSteps { get; init; }

    /// <summary>Form of the result: <c>safetensors</c>; for networks also <c>ckpt</c> and <c>pt</c>, pickles without metadata, for whole models <c>ckpt</c>, <c>diffusers</c>, <c>diffusers_bin</c>, for words <c>pt</c>, <c>bin</c>, <c>ckpt</c>. Default auto: what fits.</summary>
    public ResultFormat Format { get; init; } = ResultFormat.Auto;

    /// <summary>Numbers in the file: <c>fp32</c>, <c>fp16</c>, <c>bf16</c>. Default auto: as trained, fp32.</summary>
    public Precision Precision { get; init; } = Precision.Auto;

    /// <summary>Writes all training metadata (<c>ss_*</c>) into the file; false keeps the few that programs need. Default true.</summary>
    public bool Metadata { get; init; } = true;

    /// <summary>A note of yours, stored in the file.</summary>
    public string? Comment { get; init; }

    /// <summary>Title shown by programs that read it; null: the name.</summary>
    public string? Title { get; init; }

    /// <summary>Author, stored in the file.</summary>
    public string? Author { get; init; }

    /// <summary>Description, stored in the file.</summary>
    public string? Description { get; init; }

    /// <summary>Licence, stored in the file.</summary>
    public string? License { get; init; }

    /// <summary>Tags with commas between, stored in the file.</summary>
    public string? Tags { get; init; }

    /// <summary>Words that call the subject, stored in the file.</summary>
    public string? TriggerPhrase { get; init; }

    /// <summary>How to use it, stored in the file.</summary>
    public string? UsageHint { get; init; }

    /// <summary>A picture stored in the file as a data URL: a path, or the URL itself.</summary>
    public string? Thumbnail { get; init; }

    /// <summary>What it was merged from, stored in the file.</summary>
    public string? MergedFrom { get; init; }

    /// <summary>Preparation a picture needs before it is given to the model, stored in the file.</summary>
    public string? Preprocessor { get; init; }

    /// <summary>Whether it is meant for the negative prompt (<c>true</c> or <c>false</c>), stored in the file.</summary>
    public string? IsNegativeEmbedding { get; init; }

    /// <summary>The table's keys.</summary>
    public static OutputSettings Map(OutputSettings output, TomlMap map) => output with
    {
        Folder = map.OptionalPath("folder", output.Folder) ?? output.Folder,
        Name = map.OptionalText("name", output.Name),
        SaveEveryEpochs = map.OptionalWhole("save_every_epochs", output.SaveEveryEpochs),
        SaveEverySteps = map.OptionalWhole("save_every_steps", output.SaveEverySteps),
        SaveEpochRatio = map.OptionalWhole("save_epoch_ratio", output.SaveEpochRatio),
        KeepLastEpochs = map.OptionalWhole("keep_last_epochs", output.KeepLastEpochs),
        KeepLastSteps = map.OptionalWhole("keep_last_steps", output.KeepLastSteps),
        Format = map.Choice("format", output.Format),
        Precision = map.Choice("precision", output.Precision),
        Metadata = map.Flag("metadata", output.Metadata),
        Comment = map.OptionalText("comment", output.Comment),
        Title = map.OptionalText("title", output.Title),
        Author = map.OptionalText("author", output.Author),
        Description = map.OptionalText("description", output.Description),
        License = map.OptionalText("license", output.License),
        Tags = map.OptionalText("tags", output.Tags),
        TriggerPhrase = map.OptionalText("trigger_phrase", output.TriggerPhrase),
        UsageHint = map.OptionalText("usage_hint", output.UsageHint),
        Thumbnail = map.OptionalPath("thumbnail", output.Thumbnail),
        MergedFrom = map.OptionalText("merged_from", output.MergedFrom),
        Preprocessor = map.OptionalText("preprocessor", output.Preprocessor),
        IsNegativeEmbedding = map.OptionalText("is_negative_embedding", output.IsNegativeEmbedding),
    };

    /// <summary>The form of what is trained, never <see cref="ResultFormat.Auto"/>.</summary>
    public ResultFormat FormatOf(Trains trains) => Format is not ResultFormat.Auto ? Format : Formats(trains)[0];

    private static ResultFormat[] Formats(Trains trains) => trains switch
    {
        Trains.Model => [ResultFormat.Safetensors, ResultFormat.Ckpt, ResultFormat.Diffusers, ResultFormat.DiffusersBin],
        Trains.Embedding => [ResultFormat.Safetensors, ResultFormat.Pt, ResultFormat.Bin, ResultFormat.Ckpt],
        Trains.Hypernetwork => [ResultFormat.Pt],
        _ => [ResultFormat.Safetensors, ResultFormat.Ckpt, ResultFormat.Pt],
    };

    /// <summary>Adds every problem to <paramref name="problems"/>; throws nothing.</summary>
    public void Check(Problems problems, Trains trains = Trains.Network)
    {
        problems.Require(Format is ResultFormat.Auto || Formats(trains).Contains(Format), "format", $"is {TomlMap.Spell(Format.ToString())}, which is no form of a trained {TomlMap.Spell(trains.ToString())}.",
            $"Use {string.Join(", ", Formats(trains).Select(format => TomlMap.Spell(format.ToString())))}.");
        problems.Require(Name is null || Name.Length > 0 && Name.IndexOfAny(['/', '\\', '\0']) < 0 && Name is not ("." or ".."), "name", $"is \"{Name}\".", "Use a file name without folder; folder says where.");
        Every(problems, "save_every_epochs", SaveEveryEpochs);
        Every(problems, "save_every_steps", SaveEverySteps);
        Every(problems, "save_epoch_ratio", SaveEpochRatio);
        Every(problems, "keep_last_epochs", KeepLastEpochs);
        Every(problems, "keep_last_steps", KeepLastSteps);
        problems.Require(Thumbnail is null || TomlMap.IsDataUrl(Thumbnail) || File.Exists(Thumbnail), "thumbnail", $"names {Thumbnail}, which is not there.", "Name a PNG, JPEG or WebP file.");
    }

    internal static void Every(Problems problems, string name, int? every) =>
        problems.Require(every is null or >= 1, name, $"is {every}.", "Use 1 or more, or leave it out.");
}
