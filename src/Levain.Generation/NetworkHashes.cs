using Levain.Core;
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
    /// <param name="notes">Gets a sentence on each network that cannot be read any more, whose hash is left out.</param>
    public IReadOnlyList<(string Key, string Value)> Of(IReadOnlyList<NetworkUse> networks, IReadOnlyCollection<TextualInversion> words, ICollection<string> notes)
    {
        List<string> files = [.. networks.DistinctBy(use => use.Name).Select(use => HashOf(use.Path, notes) is { } hash ? $"{Plain(use.Name)}: {hash}" : null).OfType<string>()];
        List<string> hashed = [.. words.Where(word => word.Hash.Length > 0).Select(word => $"{Plain(word.Name)}: {word.Hash}")];
        return [.. new[] { ("Lora hashes", files), ("TI hashes", hashed) }.Where(field => field.Item2.Count > 0).Select(field => (field.Item1, string.Join(", ", field.Item2)))];
    }

    private string? HashOf(string path, ICollection<string> notes)
    {
        var key = (path, File.GetLastWriteTimeUtc(path));
        if (known.TryGetValue(key, out var hash)) return hash;
        try
        {
            using var file = TensorFile.Open(path);
            hash = file.Metadata.GetValueOrDefault(HashKey) is { Length: > 0 } written ? written : file.Format == Safetensors ? ModelHashes.SshsOfFile(path) : ModelHashes.Sha256(path);
            return known[key] = hash[..Math.Min(Digits, hash.Length)];
        }
        catch (Exception failure) when (failure is CheckpointException or IOException or UnauthorizedAccessException)
        {
            // The picture is drawn; a file that changed meanwhile may not cost it.
            notes.Add($"{failure.Message} Its hash is left out of the picture's text.");
            return null;
        }
    }

    private static string Plain(string name) => name.Replace(":", "").Replace(",", "");
}
