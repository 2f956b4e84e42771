using Levain.Core;
using Levain.Formats;
using static TorchSharp.torch;

namespace Levain.Models.Inspection;

/// <summary>A tensor with values that are not numbers: a network holding one paints black pictures.</summary>
/// <param name="Name">Its key.</param>
/// <param name="NaNs">How many values are NaN.</param>
/// <param name="Infinities">How many are infinite.</param>
/// <param name="Count">How many there are in all.</param>
public sealed record NonFiniteTensor(string Name, long NaNs, long Infinities, long Count);

/// <summary>The hashes a file is known by.</summary>
/// <param name="Sha256">Whole file; what model sites and the webui's <c>Model hash</c> (first ten digits) use.</param>
/// <param name="Old">The old webui hash, 8 digits.</param>
/// <param name="Network">Hash of the values alone (<c>sshs_model_hash</c>, AutoV3); null for what is no safetensors file.</param>
public sealed record FileHashes(string Sha256, string Old, string? Network);

/// <summary>An embedding's vectors.</summary>
/// <param name="Name">Key of the vectors.</param>
/// <param name="Vectors">How many tokens it stands for.</param>
/// <param name="Width">Their width.</param>
public sealed record EmbeddingReport(string Name, long Vectors, long Width);

/// <summary>One model inside a checkpoint.</summary>
/// <param name="Part">U-Net, VAE, text encoder, or what else the file carries.</param>
/// <param name="Tensors">How many tensors.</param>
/// <param name="Parameters">How many values.</param>
public sealed record PartReport(string Part, int Tensors, long Parameters);

/// <summary>Everything a file tells about itself: what <c>levain inspect</c> shows.</summary>
public sealed record FileReport
{
    private const string Bundled = "bundle_emb."; // embeddings that OneTrainer puts into a network's file

    /// <summary>File or folder, as it was named.</summary>
    public required string Path { get; init; }

    /// <summary>Container, in words.</summary>
    public required string Format { get; init; }

    /// <summary>What it is.</summary>
    public required ModelKind Kind { get; init; }

    /// <summary>Size on disk.</summary>
    public required long Bytes { get; init; }

    /// <summary>How many tensors.</summary>
    public required int Tensors { get; init; }

    /// <summary>How many values they hold.</summary>
    public required long Parameters { get; init; }

    /// <summary>Tensors by stored type, most frequent first.</summary>
    public required IReadOnlyDictionary<string, int> Dtypes { get; init; }

    /// <summary>The models in a checkpoint; empty for other files.</summary>
    public IReadOnlyList<PartReport> Parts { get; init; } = [];

    /// <summary>The adapters of a LoRA; null for other files.</summary>
    public NetworkReport? Network { get; init; }

    /// <summary>The vectors of an embedding, or of those that came bundled in a LoRA; empty for other files.</summary>
    public IReadOnlyList<EmbeddingReport> Embeddings { get; init; } = [];

    /// <summary>What the metadata says about training, in readable order.</summary>
    public IReadOnlyList<Fact> Training { get; init; } = [];

    /// <summary>The metadata as it stands.</summary>
    public required IReadOnlyDictionary<string, string> Metadata { get; init; }

    /// <summary>Hashes; null in a quick look and for folders.</summary>
    public FileHashes? Hashes { get; init; }

    /// <summary>Tensors with values that are not finite; null in a quick look.</summary>
    public IReadOnlyList<NonFiniteTensor>? NonFinite { get; init; }

    /// <summary>Things a user should know: damage, contradictions.</summary>
    public IReadOnlyList<string> Warnings { get; init; } = [];

    /// <summary>Looks into a file or diffusers folder.</summary>
    /// <param name="path">What to look at.</param>
    /// <param name="quick">Headers only: no hashes, no search for values that are not finite.</param>
    /// <param name="stop">Ends the reading of values early.</param>
    /// <exception cref="CheckpointException">It cannot be read; the message says why.</exception>
    public static FileReport Of(string path, bool quick = false, CancellationToken stop = default)
    {
        var (kind, paths) = CheckpointSource.Identify(path);
        var files = new List<TensorFile>();
        try
        {
            foreach (var each in paths) files.Add(TensorFile.Open(each));
            var entries = files.SelectMany(file => file.Entries.Values).ToList();
            var metadata = files.Count == 1 ? files[0].Metadata : new Dictionary<string, string>();
            var hashes = quick || files.Count != 1 ? null : HashesOf(files[0]);
            var nonFinite = quick ? null : files.SelectMany(file => NonFiniteOf(file, stop)).ToList();
            return new()
            {
                Path = path,
                Format = Directory.Exists(path) ? "diffusers folder" : files[0].Format,
                Kind = kind,
                Bytes = paths.Sum(each => new FileInfo(each).Length),
                Tensors = entries.Count,
                Parameters = entries.Sum(entry => entry.Count),
                Dtypes = entries.CountBy(entry => Formats.Dtypes.Name(entry.Dtype)).OrderByDescending(pair => pair.Value).ToDictionary(),
                Parts = kind.Content == FileContent.Checkpoint ? PartsOf(files, Directory.Exists(path)) : [],
                Network = kind.Content == FileContent.Lora ? NetworkReport.Of(files[0]) : null,
                Embeddings = [.. entries.Where(entry => kind.Content == FileContent.Embedding || entry.Name.StartsWith(Bundled, StringComparison.Ordinal)).Select(VectorsOf)],
                Training = TrainingFacts.Of(metadata),
                Metadata = metadata,
                Hashes = hashes,
                NonFinite = nonFinite,
                Warnings = [.. WarningsOf(metadata, hashes, nonFinite)],
            };
        }
        finally
        {
            foreach (var file in files) file.Dispose();
        }
    }

    private static FileHashes HashesOf(TensorFile file) =>
        new(ModelHashes.Sha256(file.Path), ModelHashes.Old(file.Path), file.Format == "safetensors" ? ModelHashes.SshsOfFile(file.Path) : null);

    private static IEnumerable<NonFiniteTensor> NonFiniteOf(TensorFile file, CancellationToken stop)
    {
        foreach (var entry in file.Entries.Values.Where(entry => Formats.Dtypes.IsFloat(entry.Dtype)))
        {
            stop.ThrowIfCancellationRequested();
            if (Count(file, entry) is (var nans, var infinities) && nans + infinities > 0) yield return new(entry.Name, nans, infinities, entry.Count);
        }
    }

    private static (long NaNs, long Infinities) Count(TensorFile file, TensorEntry entry)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var values = file.View(entry.Name);
        if (Formats.Dtypes.Size(entry.Dtype) == 1) values = values.to(ScalarType.Float32); // 8-bit floats know no arithmetic
        if (values.isfinite().all().item<bool>()) return (0, 0);
        return (values.isnan().sum().item<long>(), values.isinf().sum().item<long>());
    }

    private static List<PartReport> PartsOf(List<TensorFile> files, bool folder) =>
        [.. files.SelectMany(file => file.Entries.Values.Select(entry => (Part: folder ? FolderPart(file.Path) : SingleFilePart(entry.Name), entry)))
            .GroupBy(pair => pair.Part)
            .Select(group => new PartReport(group.Key, group.Count(), group.Sum(pair => pair.entry.Count)))
            .OrderByDescending(part => part.Parameters)];

    private static string FolderPart(string path) => Directory.GetParent(path)?.Name switch
    {
        "unet" => "U-Net",
        "vae" => "VAE",
        "text_encoder" => "text encoder",
        "text_encoder_2" => "second text encoder",
        var other => other ?? "other",
    };

    private static string SingleFilePart(string key) => key switch
    {
        _ when key.StartsWith("model.diffusion_model.", StringComparison.Ordinal) => "U-Net",
        _ when key.StartsWith("first_stage_model.", StringComparison.Ordinal) => "VAE",
        _ when key.StartsWith("cond_stage_model.", StringComparison.Ordinal) || key.StartsWith("conditioner.embedders.0.", StringComparison.Ordinal) => "text encoder",
        _ when key.StartsWith("conditioner.embedders.1.", StringComparison.Ordinal) => "second text encoder",
        _ when key.StartsWith("model_ema.", StringComparison.Ordinal) => "averaged U-Net (not used)",
        _ when key.StartsWith("optimizer_states/", StringComparison.Ordinal) => "optimizer state (not used)",
        _ => "other (not used)",
    };

    private static EmbeddingReport VectorsOf(TensorEntry entry) => entry.Shape is [var vectors, var width] ? new(entry.Name, vectors, width) : new(entry.Name, 1, entry.Count);

    private static IEnumerable<string> WarningsOf(IReadOnlyDictionary<string, string> metadata, FileHashes? hashes, List<NonFiniteTensor>? nonFinite)
    {
        if (nonFinite is { Count: > 0 }) yield return $"{Counted.Of(nonFinite.Count, "tensor")} {(nonFinite.Count == 1 ? "holds" : "hold")} values that are not finite ({nonFinite[0].Name}, …): pictures will be black or broken.";
        if (hashes?.Network is { } found && metadata.GetValueOrDefault("sshs_model_hash") is { Length: 64 } told && told != found)
            yield return "The values are not those the metadata was written for (sshs_model_hash differs): the file was changed after training.";
    }
}
