using Levain.Core;
using Levain.Models.Clip;

namespace Levain.Generation;

/// <summary>The words that can be used in prompts: files of folders, each opened when its name is first read, and those that networks bring along.</summary>
public sealed class EmbeddingShelf : IDisposable
{
    private static readonly string[] Extensions = [".pt", ".bin", ".safetensors", .. TextualInversion.PictureEndings];
    private const int Told = 50;            // pictures from one report to the next: some seconds

    private readonly Dictionary<int, List<Book>> byFirstId = [];
    private readonly HashSet<string> misfits = [];
    private readonly int width;

    private sealed record Book(string Name, int[] Ids, Lazy<TextualInversion> Read);

    /// <param name="width">Width of the text encoder's token vectors; embeddings of another width are words.</param>
    /// <param name="folders">Folders that are looked through, with all folders in them; null: none. A later file replaces an earlier one of its name.</param>
    /// <param name="waiting">Told how many pictures were looked at for embeddings in them, where there are many; null: nobody.</param>
    /// <exception cref="SettingsException">A folder is not there.</exception>
    public EmbeddingShelf(int width, IReadOnlyList<string>? folders = null, IProgress<string>? waiting = null)
    {
        this.width = width;
        foreach (var folder in folders ?? [])
        {
            if (!Directory.Exists(folder)) throw new SettingsException([new(folder, "is no folder.", "Name the folder that holds embeddings.")]);
            List<string> files = [.. Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal).Where(path => Extensions.Contains(Path.GetExtension(path), StringComparer.OrdinalIgnoreCase) && new FileInfo(path).Length > 0)];
            var (pictures, looked) = (files.Where(MayBePicture).ToHashSet(), 0);
            foreach (var path in files)
            {
                var name = Path.GetFileNameWithoutExtension(path);
                if (!IsPicture(path))
                {
                    Add(name, new(() => TextualInversion.Read(path)));
                    continue;
                }
                if (!pictures.Contains(path)) continue;
                AddPicture(path, name);
                looked++;
                if (looked % Told == 0) waiting?.Report($"Looking for embeddings in {folder}: {looked} of {pictures.Count} pictures …");
            }
        }
    }

    /// <summary>Names in no particular order.</summary>
    public IEnumerable<string> Names => byFirstId.Values.SelectMany(books => books).Select(book => book.Name);

    /// <summary>Adds a word; it replaces one of its name. The shelf disposes it.</summary>
    public void Add(TextualInversion word) => Add(word.Name, new(word));

    /// <summary>Adds a network's word while the network acts; words of the folders go before it.</summary>
    /// <returns>Whether it was added.</returns>
    internal bool AddBundled(TextualInversion word)
    {
        if (Names.Contains(word.Name)) return false;
        Add(word);
        return true;
    }

    /// <summary>Takes a network's word away again, without disposing it.</summary>
    internal void Remove(TextualInversion word)
    {
        foreach (var books in byFirstId.Values) books.RemoveAll(book => book.Read.IsValueCreated && ReferenceEquals(book.Read.Value, word));
    }

    /// <summary>The longest word whose name begins at a token, and how many tokens the name has; null where there is none.</summary>
    /// <exception cref="CheckpointException">The word's file is damaged.</exception>
    public (TextualInversion Word, int Length)? At(ReadOnlySpan<int> ids)
    {
        if (ids.IsEmpty || !byFirstId.TryGetValue(ids[0], out var books)) return null;
        foreach (var book in books)
        {
            if (!ids.StartsWith(book.Ids)) continue;
            if (book.Read.Value.Width == width) return (book.Read.Value, book.Ids.Length);
            misfits.Add($"The embedding '{book.Name}' has vectors of width {book.Read.Value.Width}, and this model's have {width}: its name was read as words.");
        }
        return null;
    }

    /// <summary>What was found wrong with words since it was last asked.</summary>
    internal IReadOnlyList<string> TakeNotes()
    {
        List<string> notes = [.. misfits];
        misfits.Clear();
        return notes;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var book in byFirstId.Values.SelectMany(books => books))
            if (book.Read.IsValueCreated) book.Read.Value.Dispose();
    }

    private void Add(string name, Lazy<TextualInversion> read)
    {
        var ids = ClipTokenizer.Instance.Encode(name);
        if (ids.Length == 0) return;
        if (!byFirstId.TryGetValue(ids[0], out var books)) byFirstId[ids[0]] = books = [];
        books.RemoveAll(book => book.Name == name);
        books.Add(new(name, ids, read));
        byFirstId[ids[0]] = [.. books.OrderByDescending(book => book.Ids.Length)];      // stable: of equal names the first stays first
    }

    private static bool IsPicture(string path) => TextualInversion.PictureEndings.Contains(Path.GetExtension(path), StringComparer.OrdinalIgnoreCase);

    // To look into a picture is to decode it, and most pictures beside embeddings are previews of another kind.
    private static bool MayBePicture(string path) =>
        IsPicture(path) && !Path.GetFileNameWithoutExtension(path).EndsWith(".preview", StringComparison.OrdinalIgnoreCase) && !WebPLoss.IsLossy(path);

    // Folders hold previews too: a picture without an embedding is just a picture. A damaged one is told of when its name is used.
    private void AddPicture(string path, string name)
    {
        try
        {
            Add(TextualInversion.Read(path));
        }
        catch (CheckpointException damaged) when (damaged.Fault != CheckpointFault.NotACheckpoint)
        {
            Add(name, new(() => throw damaged));
        }
        catch (CheckpointException)
        {
            // a preview
        }
    }
}
