using Levain.Core;
using Levain.Formats;
using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>
/// The tensors of a base model under one scheme of names (those of diffusers and transformers), wherever they come from: a single file, a
/// diffusers folder, a VAE of its own. Nothing is read until it is asked for.
/// </summary>
public sealed class CheckpointSource : IDisposable
{
    private readonly Dictionary<ModelPart, OrderedDictionary<string, Place>> parts = [];
    private readonly List<TensorFile> files = [];

    private CheckpointSource(string path) => Path = path;

    /// <summary>File or folder, as it was named.</summary>
    public string Path { get; }

    /// <summary>What the base model is.</summary>
    public ModelKind Kind { get; private set; } = new(FileContent.Unknown);

    /// <summary>Every file that is read from.</summary>
    public IReadOnlyList<string> Files => [.. files.Select(file => file.Path)];

    /// <summary>Opens an SD 1.x base model.</summary>
    /// <param name="path">A single file (safetensors or pickle) or a diffusers folder.</param>
    /// <param name="vaePath">A VAE to use in place of the model's own: a file in LDM or diffusers names, or a diffusers folder; null keeps its own.</param>
    /// <exception cref="CheckpointException">A file is damaged, or is something other than an SD 1.x base model; the message says what it is.</exception>
    public static CheckpointSource Open(string path, string? vaePath = null)
    {
        var source = OpenAny(path);
        try
        {
            source.Require(ModelFamily.Sd1);
            if (vaePath is not null) source.ReplaceVae(vaePath);
            return source;
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    /// <summary>What a file or diffusers folder is, and the files it is made of.</summary>
    /// <exception cref="CheckpointException">A file is missing or damaged.</exception>
    public static (ModelKind Kind, IReadOnlyList<string> Files) Identify(string path)
    {
        using var source = OpenAny(path);
        return (source.Kind, source.Files);
    }

    private static CheckpointSource OpenAny(string path)
    {
        var source = new CheckpointSource(path);
        try
        {
            if (Directory.Exists(path)) source.AddFolder(path);
            else source.AddSingleFile(path);
            return source;
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    /// <summary>Names of a part's tensors, in the file's order; empty where the model lacks the part.</summary>
    public IReadOnlyCollection<string> Names(ModelPart part) => parts.TryGetValue(part, out var places) ? places.Keys : [];

    /// <summary>Whether the part has this tensor.</summary>
    public bool Has(ModelPart part, string name) => parts.TryGetValue(part, out var places) && places.ContainsKey(name);

    /// <summary>The tensor's shape under this name.</summary>
    /// <exception cref="CheckpointException">There is no such tensor.</exception>
    public long[] ShapeOf(ModelPart part, string name)
    {
        var place = Find(part, name);
        return place.Shape(place.File.Entries[place.Key].Shape);
    }

    /// <summary>The tensor's stored type.</summary>
    /// <exception cref="CheckpointException">There is no such tensor.</exception>
    public ScalarType DtypeOf(ModelPart part, string name)
    {
        var place = Find(part, name);
        return place.File.Entries[place.Key].Dtype;
    }

    /// <summary>Fills <paramref name="destination"/>, converting to its type and device on the way.</summary>
    /// <exception cref="CheckpointException">There is no such tensor, its shape differs, or its bytes are damaged.</exception>
    public void CopyTo(ModelPart part, string name, Tensor destination)
    {
        var shape = ShapeOf(part, name);
        if (!shape.AsSpan().SequenceEqual(destination.shape))
            throw new CheckpointException(Path, $"is [{string.Join(", ", shape)}] where [{string.Join(", ", destination.shape)}] is needed.", name);
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        destination.copy_(View(part, name));
    }

    /// <summary>A new CPU tensor of the stored type; the caller's scope owns it.</summary>
    /// <exception cref="CheckpointException">There is no such tensor, or its bytes are damaged.</exception>
    public Tensor Load(ModelPart part, string name)
    {
        using var scope = NewDisposeScope();
        var view = View(part, name);
        return (view.is_contiguous() ? view.clone() : view.contiguous()).MoveToOuterDisposeScope();
    }

    /// <summary>The file's own pages under this name, read-only; see <see cref="TensorFile.View"/>. The caller's scope owns the tensor.</summary>
    /// <exception cref="CheckpointException">There is no such tensor, or its bytes are damaged.</exception>
    public Tensor View(ModelPart part, string name)
    {
        var place = Find(part, name);
        using var scope = NewDisposeScope();
        return place.Apply(place.File.View(place.Key)).MoveToOuterDisposeScope();
    }

    /// <summary>Closes the files.</summary>
    public void Dispose()
    {
        foreach (var file in files) file.Dispose();
    }

    /// <summary>How a user calls a part.</summary>
    internal static string Title(ModelPart part) => part switch
    {
        ModelPart.UNet => "U-Net",
        ModelPart.Vae => "VAE",
        ModelPart.TextEncoder => "text encoder",
        _ => "second text encoder",
    };

    private Place Find(ModelPart part, string name)
    {
        if (!parts.TryGetValue(part, out var places))
            throw new CheckpointException(Path, $"holds no {Title(part)}. Use a complete checkpoint{(part == ModelPart.Vae ? " or name a VAE of its own" : "")}.");
        return places.TryGetValue(name, out var place) ? place : throw new CheckpointException(Path, $"is missing from the {Title(part)}.", name);
    }

    private void Require(ModelFamily family)
    {
        if (Kind is { Content: FileContent.Checkpoint, Variant: ModelVariant.Base or ModelVariant.Inpainting } && Kind.Family == family && Kind.Prediction is not (PredictionHint.Edm or PredictionHint.EdmV)) return;
        throw new CheckpointException(Path, $"is {Kind.Name}; {(Kind.Content is FileContent.Vae ? "it can replace the VAE of a base model, but " : "")}an SD 1.x base checkpoint is needed here.");
    }

    private void AddSingleFile(string path)
    {
        var file = Opened(path);
        Kind = ModelKind.Detect(file);
        if (Kind.Family != ModelFamily.Sd1) return; // refused by name
        foreach (var key in file.Entries.Keys)
        {
            if (KeyMap.Sd1.ToDiffusers(key) is not { } mapped) continue;
            for (var third = 0; third < mapped.Names.Count; third++) Add(mapped.Part, mapped.Names[third], new(file, key, mapped.Transform, third));
        }
    }

    private void AddFolder(string path)
    {
        var folder = new DiffusersFolder(path);
        foreach (var (part, shards) in folder.Parts)
        {
            foreach (var shard in shards) AddComponent(part, Opened(shard));
        }
        Kind = ModelKind.Detect(UNetShape, [.. parts.Values.SelectMany(places => places.Keys)], folder.Metadata) with { Content = FileContent.Checkpoint };
        if (parts.ContainsKey(ModelPart.TextEncoder2) && Kind.Family == ModelFamily.Sd1) Kind = Kind with { Family = ModelFamily.Sdxl };

        long[]? UNetShape(string name) => Has(ModelPart.UNet, name) ? ShapeOf(ModelPart.UNet, name) : null;
    }

    private void ReplaceVae(string path)
    {
        parts.Remove(ModelPart.Vae);
        if (Directory.Exists(path))
        {
            foreach (var shard in DiffusersFolder.VaeFiles(path)) AddComponent(ModelPart.Vae, Opened(shard));
        }
        else
        {
            AddComponent(ModelPart.Vae, Opened(path));
        }
        if (Names(ModelPart.Vae).Count == 0) throw new CheckpointException(path, $"is {ModelKind.Detect(files[^1]).Name}; a VAE is needed here.");
    }

    /// <summary>Adds one part's file, whichever names it uses.</summary>
    private void AddComponent(ModelPart part, TensorFile file)
    {
        foreach (var key in file.Entries.Keys)
        {
            if (ComponentKeys.Name(part, key) is { } name) Add(part, name, new(file, key, KeyTransform.None, 0) { SquaresMatrices = ComponentKeys.IsVaeAttentionMatrix(part, name) });
        }
    }

    private void Add(ModelPart part, string name, Place place)
    {
        if (!parts.TryGetValue(part, out var places)) parts.Add(part, places = new(StringComparer.Ordinal));
        places.TryAdd(name, place); // a file may spell one tensor twice; the first stays
    }

    private TensorFile Opened(string path)
    {
        var file = TensorFile.Open(path);
        files.Add(file);
        return file;
    }

    /// <summary>Where a tensor lies and how it is turned into what its name promises.</summary>
    private sealed record Place(TensorFile File, string Key, KeyTransform Transform, int Third)
    {
        private const int Thirds = 3;

        /// <summary>Whether 1×1 convolutions count as matrices, as they do in a VAE's attention.</summary>
        public bool SquaresMatrices { get; init; } = Transform == KeyTransform.Squeeze;

        public long[] Shape(long[] stored) => (Transform, stored) switch
        {
            _ when SquaresMatrices => stored is [var rows, var columns, 1, 1] ? [rows, columns] : stored,
            (KeyTransform.Split3, [var rows, .. var rest]) => [rows / Thirds, .. rest],
            (KeyTransform.Transpose, [var rows, var columns]) => [columns, rows],
            _ => stored,
        };

        public Tensor Apply(Tensor stored) => Transform switch
        {
            _ when SquaresMatrices => stored.view(Shape(stored.shape)),
            KeyTransform.Split3 => stored.narrow(0, Third * (stored.shape[0] / Thirds), stored.shape[0] / Thirds),
            KeyTransform.Transpose => stored.t(),
            _ => stored.alias(),
        };
    }
}
