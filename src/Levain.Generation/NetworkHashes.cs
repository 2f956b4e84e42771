using Levain.Formats;

namespace Levain.Generation;

/// <summary>The hashes by which infotexts name the networks and words of a picture.</summary>
/// <remarks>AUTOMATIC1111's webui: <c>Lora hashes</c> from <c>extra_networks_lora.py</c>, <c>TI hashes</c> from <c>sd_hijack_clip.py</c>.</remarks>
internal sealed class NetworkHashes
{
    private const string HashKey = "sshs_model_hash", Safetensors = "safetensors";
    private const int Digits = 12;
    private readonly Dictionary<(string Path, DateTime Written), string> known = [];

    /// <summary>Fields of an infotext; none where nothing was used.</summary>
    public IEnumerable<(string Key, string Value)> Of(IReadOnlyList<NetworkUse> networks, IReadOnlyCollection<TextualInversion> words)
    {
        if (networks.Count > 0) yield return ("Lora hashes", string.Join(", ", networks.DistinctBy(use => use.Name).Select(use => $"{Plain(use.Name)}: {HashOf(use.Path)}")));
        var hashed = words.Where(word => word.Hash.Length > 0).ToList();
        if (hashed.Count > 0) yield return ("TI hashes", string.Join(", ", hashed.Select(word => $"{Plain(word.Name)}: {word.Hash}")));
    }

    private string HashOf(string path)
    {
        var key = (path, File.GetLastWriteTimeUtc(path));
        if (known.TryGetValue(key, out var hash)) return hash;
        using var file = TensorFile.Open(path);
        hash = file.Metadata.GetValueOrDefault(HashKey) is { Length: > 0 } written ? written : file.Format == Safetensors ? ModelHashes.SshsOfFile(path) : ModelHashes.Sha256(path);
        return known[key] = hash[..Math.Min(Digits, hash.Length)];
    }

    private static string Plain(string name) => name.Replace(":", "").Replace(",", "");
}
