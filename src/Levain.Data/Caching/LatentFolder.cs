using Levain.Core;
using Levain.Formats;
using static TorchSharp.torch;

namespace Levain.Data;

/// <summary>A folder of latent distributions, one file for each content key. Files are written whole or not at all, so any number of processes may share it.</summary>
internal sealed class LatentFolder(string folder)
{
    private const string Moments = "moments", Mask = "mask";

    /// <summary>The distribution [1, 2·C, h, w] and mask [H, W] of a key; null where they are not kept, or the file is damaged.</summary>
    public (Tensor Moments, Tensor? Mask)? Find(string key, LatentSize size)
    {
        var path = PathOf(key);
        if (!File.Exists(path)) return null;
        try
        {
            using var file = TensorFile.Open(path);
            if (!file.Entries.TryGetValue(Moments, out var entry) || entry.Shape is not [1, _, var height, var width] || height != size.Height || width != size.Width) return null;
            return (file.Load(Moments), file.Entries.ContainsKey(Mask) ? file.Load(Mask) : null);
        }
        catch (Exception e) when (e is CheckpointException or IOException)
        {
            return null;
        }
    }

    /// <summary>Keeps a distribution.</summary>
    public void Keep(string key, Tensor moments, Tensor? mask)
    {
        List<KeyValuePair<string, Tensor>> tensors = [new(Moments, moments)];
        if (mask is not null) tensors.Add(new(Mask, mask));
        Safetensors.Write(PathOf(key), tensors, new Dictionary<string, string> { ["format"] = "levain latents" });
    }

    private string PathOf(string key) => Path.Combine(folder, key[..2], key + ".safetensors");
}
