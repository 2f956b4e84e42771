using Levain.Formats;
using Levain.Models;

namespace Levain.Generation;

/// <summary>The bases of a grid, one open at a time: the next is read when the last is closed.</summary>
/// <param name="compute">Where and how to compute.</param>
/// <param name="path">The grid's own checkpoint.</param>
/// <param name="vae">The grid's own VAE; null for the checkpoint's.</param>
/// <param name="folders">Where names in prompts are looked up.</param>
/// <param name="hashes">Hashes of files that are known; null: of this shelf alone.</param>
/// <param name="waiting">Told in a sentence what drawing waits for, where that takes longer than a moment; null: nobody.</param>
public sealed class BaseShelf(Compute compute, string path, string? vae, PromptFolders folders, FileHashes? hashes = null, IProgress<string>? waiting = null) : IDisposable
{
    private readonly FileHashes known = hashes ?? new();
    private (string Path, string? Vae, StableDiffusion Model, GenerationPipeline Pipeline)? open;

    /// <summary>Where names in prompts are looked up.</summary>
    public PromptFolders Folders => folders;

    /// <summary>Bases read so far.</summary>
    public int Opened { get; private set; }

    /// <summary>Who draws a cell.</summary>
    /// <exception cref="Core.CheckpointException">The base is damaged or is no SD 1.x model.</exception>
    public GenerationPipeline For(GridCell cell)
    {
        var wanted = (PathOf(cell), cell.Vae ?? vae);
        if (open is var (known, knownVae, _, drawing) && wanted == (known, knownVae)) return drawing;
        Close();
        var model = StableDiffusion.Open(wanted.Item1, compute, wanted.Item2);
        var pipeline = new GenerationPipeline(model, Path.GetFileNameWithoutExtension(wanted.Item1), folders) { Files = FilesOf(cell), Waiting = waiting };
        open = (wanted.Item1, wanted.Item2, model, pipeline);
        Opened++;
        return pipeline;
    }

    /// <summary>The names and hashes of a cell's base; see <see cref="BaseFiles.Names"/>.</summary>
    public BaseNames NamesOf(GridCell cell, ICollection<string> notes, CancellationToken cancel = default) => FilesOf(cell).Names(notes, waiting, cancel);

    /// <summary>The checkpoint of a cell.</summary>
    public string PathOf(GridCell cell) => cell.Checkpoint ?? path;

    /// <summary>The VAE of a cell; null for the checkpoint's own.</summary>
    public string? VaeOf(GridCell cell) => cell.Vae ?? vae;

    /// <inheritdoc/>
    public void Dispose() => Close();

    private BaseFiles FilesOf(GridCell cell) => new(PathOf(cell), VaeOf(cell), known);

    private void Close()
    {
        if (open is not { } last) return;
        last.Pipeline.Dispose();
        last.Model.Dispose();
        open = null;
    }
}
