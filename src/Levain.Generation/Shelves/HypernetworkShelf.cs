using Levain.Models;
using Levain.Networks;

namespace Levain.Generation;

/// <summary>Hypernetworks that were opened for a base, and those that act on it now.</summary>
internal sealed class HypernetworkShelf(StableDiffusion model) : IDisposable
{
    private readonly Dictionary<string, Hypernetwork> loaded = [];
    private IReadOnlyList<HypernetworkUse> inForce = [];

    /// <summary>Lets exactly these act, in this order.</summary>
    /// <returns>A remark for each that changes no width of this model's attentions.</returns>
    public IReadOnlyList<string> Use(IReadOnlyList<HypernetworkUse> wanted)
    {
        if (!wanted.SequenceEqual(inForce))
        {
            Hypernetwork.Attach(model.UNet, [.. wanted.Select(use => (Open(use.Path), use.Strength))]);
            inForce = [.. wanted];
        }
        long[] widths = [.. model.UNet.Spec.Channels, model.TextEncoder.Spec.Width];
        return [.. wanted.Select(use => Open(use.Path)).Where(network => !network.Widths.Intersect(widths).Any())
            .Select(network => $"The hypernetwork '{network.Name}' changed nothing: it is for tokens of width {string.Join(", ", network.Widths)}, and this model's are {string.Join(", ", widths.Distinct())}.")];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (inForce.Count > 0) Hypernetwork.Attach(model.UNet, []);
        foreach (var network in loaded.Values) network.Dispose();
    }

    private Hypernetwork Open(string path) => loaded.TryGetValue(path, out var network) ? network : loaded[path] = Hypernetwork.Read(path, model.Compute.Device);
}
