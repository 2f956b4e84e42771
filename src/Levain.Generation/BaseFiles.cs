using Levain.Formats;

namespace Levain.Generation;

/// <summary>The files a base was opened from, hashed in the background so that no picture waits for it.</summary>
/// <param name="model">The checkpoint; a diffusers folder has no hash.</param>
/// <param name="vae">A VAE in place of its own; null for none.</param>
/// <param name="hashes">Hashes that are known.</param>
public sealed class BaseFiles(string model, string? vae, FileHashes hashes)
{
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

    /// <summary>Names and hashes; waits for hashes that are not done.</summary>
    public BaseNames Names => Plain with { ModelHash = Short(Hash(model)), VaeHash = Short(Hash(vae)) };

    private Task<string>? Hash(string? path) => File.Exists(path) ? hashes.Of(path) : null;

    private static string? Short(Task<string>? hash) => hash is null ? null : ModelHashes.Short(hash.GetAwaiter().GetResult());
}
