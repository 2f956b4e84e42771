using Levain.Core;
using Levain.Data;
using Levain.Formats;
using static TorchSharp.torch;

namespace Levain.Generation;

/// <summary>A word that was trained: vectors that stand in a prompt in place of its name.</summary>
/// <remarks>Gal et al. 2022, https://arxiv.org/abs/2208.01618; files as AUTOMATIC1111's webui and diffusers write them.</remarks>
public sealed class TextualInversion : IDisposable
{
    private const string WebuiVectors = "string_to_param/", SmallTower = "clip_l", LargeTower = "clip_g", Bundle = "bundle_emb.";
    private const int HashDigits = 12;

    private TextualInversion(string name, Tensor vectors, string hash) => (Name, Vectors, Hash) = (name, vectors, hash);

    /// <summary>A word made elsewhere.</summary>
    /// <param name="vectors">[n, C]; copied.</param>
    /// <param name="hash">What infotexts show; empty shows nothing.</param>
    public static TextualInversion Of(string name, Tensor vectors, string hash = "")
    {
        using var scope = NewDisposeScope();
        if (vectors.dim() == 1) vectors = vectors.unsqueeze(0);
        return new(name, vectors.to(ScalarType.Float32, copy: true).cpu().DetachFromDisposeScope(), hash);
    }

    /// <summary>The name that stands for it in prompts, whatever its case.</summary>
    public string Name { get; }

    /// <summary>Its vectors, [n, C], fp32; owned by this object.</summary>
    public Tensor Vectors { get; }

    /// <summary>How many vectors it has, and with them places of the 75 in a chunk.</summary>
    public int Count => (int)Vectors.shape[0];

    /// <summary>Width C: 768 for SD 1.x, 1024 for SD 2.x.</summary>
    public int Width => (int)Vectors.shape[1];

    /// <summary>First 12 digits of the file's sha256, as infotexts show it; of a bundled one the network's name.</summary>
    public string Hash { get; }

    /// <summary>Endings of pictures that may hold one.</summary>
    internal static IReadOnlyList<string> PictureEndings { get; } = [".png", .. Pixelled];

    // Kept without loss their pixels can hold one; PNG may carry it as a text too.
    private static string[] Pixelled => [".webp", ".avif"];

    /// <summary>Reads a file: <c>.pt</c>, <c>.bin</c>, <c>.safetensors</c>, or a PNG, WebP or AVIF that holds one.</summary>
    /// <exception cref="CheckpointException">It is damaged, holds no embedding, or several, or one for SDXL.</exception>
    public static TextualInversion Read(string path)
    {
        using var file = Open(path);
        using var scope = NewDisposeScope();
        if (file.Entries.ContainsKey(LargeTower))
            throw new CheckpointException(path, "is an embedding for SDXL (it has clip_l and clip_g). Use one made for SD 1.x.");
        var candidates = file.Entries.Values.Where(entry => entry.Name.StartsWith(WebuiVectors, StringComparison.Ordinal)).ToList();
        if (candidates.Count == 0) candidates = [.. file.Entries.Values];
        if (candidates is not [var only])
            throw new CheckpointException(path, $"holds {candidates.Count} tensors where an embedding has one ({string.Join(", ", candidates.Take(3).Select(entry => $"'{entry.Name}'"))}, …).");
        if (only.Shape.Length is not (1 or 2) || only.Count == 0)
            throw new CheckpointException(path, $"is [{string.Join(", ", only.Shape)}]; an embedding is [vectors, width].", only.Name);
        return Of(NameOf(file), file.Load(only.Name), ModelHashes.Sha256(path)[..HashDigits]);
    }

    /// <summary>Reads the embeddings that lie in a network file beside its adapters (<c>bundle_emb.NAME.…</c>).</summary>
    public static IReadOnlyList<TextualInversion> ReadBundle(TensorFile file, string networkName)
    {
        using var scope = NewDisposeScope();
        var found = new List<TextualInversion>();
        foreach (var group in file.Entries.Keys.Where(key => key.StartsWith(Bundle, StringComparison.Ordinal)).GroupBy(key => key.Split('.')[1]))
        {
            var key = group.FirstOrDefault(key => key.Contains(".string_to_param.", StringComparison.Ordinal)) ?? group.FirstOrDefault(key => key.EndsWith("." + SmallTower, StringComparison.Ordinal));
            if (key is not null && file.Entries[key].Shape.Length is 1 or 2) found.Add(Of(group.Key, file.Load(key), networkName));
        }
        return found;
    }

    /// <inheritdoc/>
    public void Dispose() => Vectors.Dispose();

    private static TensorFile Open(string path)
    {
        if (!Pixelled.Contains(Path.GetExtension(path), StringComparer.OrdinalIgnoreCase)) return TensorFile.Open(path);
        try
        {
            var pixels = ImageReader.ReadStored(path);
            return TensorFile.OpenPixels(path, pixels.Data, pixels.Width);
        }
        catch (ImageException damaged)
        {
            throw new CheckpointException(path, damaged.Message, cause: damaged) { Fault = CheckpointFault.NotACheckpoint };
        }
    }

    // Pictures carry their word's name; other files are called by theirs.
    private static string NameOf(TensorFile file) =>
        PictureEndings.Contains(Path.GetExtension(file.Path), StringComparer.OrdinalIgnoreCase) && file.Metadata.TryGetValue("name", out var name) ? name : Path.GetFileNameWithoutExtension(file.Path);
}
