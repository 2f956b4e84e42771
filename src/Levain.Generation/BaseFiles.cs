using Levain.Formats;

namespace Levain.Generation;

/// <summary>The files a base was opened from, hashed in the background so that no picture waits for it.</summary>
/// <param name="model">The checkpoint; a diffusers folder has no hash.</param>
/// <param name="vae">A VAE in place of its own; null for none.</param>
/// <param name="hashes">Hashes that are known.</param>
public sealed class BaseFiles(string model, string? vae, FileHashes hashes)
{
    private static readonly TimeSpan Moment = TimeSpan.FromSeconds(1);

    /// <summary>The VAE in place of the base's own; null for none.</summary>
    public string? Vae => vae;

    /// <summary>Names without hashes; nothing is read.</summary>
    public BaseNames Plain => new(Path.GetFileNameWithoutExtension(model), Vae: Path.GetFileName(vae));

    /// <summary>Begins to hash.</summary>
    public void Begin()
    {
        Hash(model);
        Hash(vae);
    }

    /// <summary>Names and hashes; waits for hashes that are not done. One that cannot be had is left out: it never costs a picture.</summary>
    /// <param name="notes">Gets a sentence on each hash that is left out.</param>
    /// <param name="waiting">Told which file is waited for where that takes longer than a moment.</param>
    /// <param name="cancel">Ends the wait.</param>
    public BaseNames Names(ICollection<string> notes, IProgress<string>? waiting = null, CancellationToken cancel = default) =>
        Plain with { ModelHash = Short(model, Hash(model), notes, waiting, cancel), VaeHash = Short(vae, Hash(vae), notes, waiting, cancel) };

    /// <summary>The short form of a hash once it is there; null where it cannot be had.</summary>
    internal static string? Short(string? path, Task<string>? hash, ICollection<string> notes, IProgress<string>? waiting, CancellationToken cancel)
    {
        if (hash is null) return null;
        try
        {
            if (!hash.Wait(Moment, cancel))
            {
                waiting?.Report($"Waiting for the hash of {path}, which the picture's text tells: the file is still being read …");
                hash.Wait(cancel);
            }
            return ModelHashes.Short(hash.Result);
        }
        catch (OperationCanceledException)
        {
            notes.Add($"{path}: was not read to its end, so that its hash is left out of the picture's text.");
        }
        catch (AggregateException failure)
        {
            notes.Add($"{path}: {failure.GetBaseException().Message.TrimEnd('.')}. Its hash is left out of the picture's text.");
        }
        return null;
    }

    private Task<string>? Hash(string? path) => File.Exists(path) ? hashes.Of(path) : null;
}
