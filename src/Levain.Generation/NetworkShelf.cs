using Levain.Core;
using Levain.Formats;
using Levain.Models;
using Levain.Networks;

namespace Levain.Generation;

/// <summary>Network files that were opened for a base, and those that are on it now. A file is read once; a strength is changed without reading.</summary>
internal sealed class NetworkShelf(StableDiffusion model) : IDisposable
{
    private readonly Dictionary<string, Network> loaded = [];
    private IReadOnlyList<NetworkUse> inForce = [];

    /// <summary>Puts exactly these networks on the base.</summary>
    /// <returns>What is to be said about them.</returns>
    /// <exception cref="CheckpointException">A file is damaged or fits no layer.</exception>
    public IReadOnlyList<string> Use(IReadOnlyList<NetworkUse> wanted)
    {
        if (!wanted.SequenceEqual(inForce))
        {
            TakeOff();
            // A picture takes dozens of passes at one strength: merging once is cheaper, and comes off to the bit.
            foreach (var use in wanted) Load(use.Path).Merge(use.Strength);
            inForce = [.. wanted];
        }
        return [.. wanted.SelectMany(use => Load(use.Path).Notes.Select(note => $"{System.IO.Path.GetFileName(use.Path)}: {note}"))];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        TakeOff();
        foreach (var network in loaded.Values) network.Dispose();
    }

    private void TakeOff()
    {
        foreach (var use in inForce.Reverse()) Load(use.Path).Detach();
        inForce = [];
    }

    private Network Load(string path)
    {
        if (loaded.TryGetValue(path, out var network)) return network;
        using var file = TensorFile.Open(path);
        return loaded[path] = Network.Load(file, new(model.TextEncoder.AdaptableLayers, model.UNet.AdaptableLayers));
    }
}
