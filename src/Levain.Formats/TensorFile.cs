using Levain.Core;
using static TorchSharp.torch;

namespace Levain.Formats;

/// <summary>What a file says about one of its tensors.</summary>
/// <param name="Name">Key in the file.</param>
/// <param name="Dtype">Stored type; <see cref="Dtypes"/> names those that TorchSharp's enumeration leaves out.</param>
/// <param name="Shape">Sides, outermost first; empty for a scalar.</param>
/// <param name="Bytes">Size of the values, laid out densely.</param>
public sealed record TensorEntry(string Name, ScalarType Dtype, long[] Shape, long Bytes)
{
    /// <summary>How many values there are.</summary>
    public long Count => Bytes / Dtypes.Size(Dtype);
}

/// <summary>Named tensors in a file, read only when asked for: safetensors, PyTorch pickles (nothing in them is ever executed), embedding pictures.</summary>
/// <remarks>The file is mapped, so opening costs its header only. Reading is safe from several threads at once.</remarks>
public abstract class TensorFile : IDisposable
{
    private readonly OrderedDictionary<string, TensorEntry> entries;

    private protected TensorFile(string path, string format, IReadOnlyDictionary<string, string> metadata, IEnumerable<TensorEntry> entries)
    {
        (Path, Format, Metadata) = (path, format, metadata);
        this.entries = new(StringComparer.Ordinal);
        foreach (var entry in entries) this.entries.Add(entry.Name, entry);
    }

    /// <summary>The file, as it was named.</summary>
    public string Path { get; }

    /// <summary>The container, in a user's words: <c>safetensors</c>, <c>PyTorch zip</c>, <c>PyTorch legacy pickle</c>, <c>PNG embedding</c>.</summary>
    public string Format { get; }

    /// <summary>Texts the file carries beside its tensors; for pickles its numbers and texts by path.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Every tensor, in the file's order.</summary>
    public IReadOnlyDictionary<string, TensorEntry> Entries => entries;

    /// <summary>Opens a file of any known format; what it is is told by its content, not its name.</summary>
    /// <exception cref="CheckpointException">The file is missing, damaged, of another kind, or asks for code to be run.</exception>
    public static TensorFile Open(string path) => FileKind.Open(path);

    /// <summary>An embedding hidden in the pixels of a picture that is no PNG (WebP, AVIF); PNG files are opened as any other.</summary>
    /// <param name="path">The file.</param>
    /// <param name="pixels">Red, green, blue, row by row, as they were stored: no colour profile applied.</param>
    /// <param name="width">Width in px.</param>
    /// <exception cref="CheckpointException">The picture holds no embedding, or a damaged one.</exception>
    public static TensorFile OpenPixels(string path, byte[] pixels, int width) => Embeddings.EmbeddingPicture.OfPixels(path, pixels, width);

    /// <summary>A new CPU tensor of the stored type, copied straight from the file; the caller's scope owns it.</summary>
    /// <exception cref="CheckpointException">There is no such tensor, or its bytes are damaged.</exception>
    public Tensor Load(string name)
    {
        using var scope = NewDisposeScope();
        var view = View(name);
        return (view.is_contiguous() ? view.clone() : view.contiguous()).MoveToOuterDisposeScope();
    }

    /// <summary>Fills <paramref name="destination"/>, converting to its type and device on the way.</summary>
    /// <exception cref="CheckpointException">There is no such tensor, its shape differs, or its bytes are damaged.</exception>
    public void CopyTo(string name, Tensor destination)
    {
        var entry = Entry(name);
        if (!entry.Shape.AsSpan().SequenceEqual(destination.shape))
            throw new CheckpointException(Path, $"is [{string.Join(", ", entry.Shape)}] where [{string.Join(", ", destination.shape)}] is needed.", name);
        using var frozen = no_grad();
        using var view = View(name);
        destination.copy_(view);
    }

    /// <summary>
    /// A read-only look at the stored values. Mapped files hand out their own pages: nothing is copied, writing to it is an
    /// error, and it stays valid after this file is disposed. The caller's scope owns the tensor.
    /// </summary>
    /// <exception cref="CheckpointException">There is no such tensor, or its bytes are damaged.</exception>
    public Tensor View(string name)
    {
        var entry = Entry(name);
        using var scope = NewDisposeScope();
        return ViewOf(entry).MoveToOuterDisposeScope();
    }

    /// <summary>Releases the mapping; tensors handed out stay valid.</summary>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    private protected abstract Tensor ViewOf(TensorEntry entry);

    /// <inheritdoc cref="Dispose()"/>
    protected virtual void Dispose(bool disposing) { }

    private TensorEntry Entry(string name) =>
        entries.TryGetValue(name, out var entry) ? entry : throw new CheckpointException(Path, "is not in this file.", name);
}
