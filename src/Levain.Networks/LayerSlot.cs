using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Networks;

/// <summary>What sits in a layer's slot: the adapters of all attached networks, in the order of attachment.</summary>
internal sealed class LayerSlot(IAdaptableLayer layer) : ILayerPatch
{
    private readonly List<Hanging> hanging = [];
    private (Tensor Weight, Tensor? Bias)? patched;      // the weight with everything in it, until something changes
    private (Tensor Weight, Tensor? Bias)? original;     // the bits to go back to, while something is merged

    private sealed record Hanging(Network Network, Adapter Adapter, double Strength, bool Merged, bool Once);

    /// <summary>The layer's slot, made where it is empty.</summary>
    public static LayerSlot Of(IAdaptableLayer layer) => layer.Patch switch
    {
        null => (LayerSlot)(layer.Patch = new LayerSlot(layer)),
        LayerSlot slot => slot,
        var other => throw new InvalidOperationException($"{layer.Key} is patched by {other.GetType().Name}, which networks cannot share a layer with."),
    };

    /// <summary>Adds an adapter, or gives it another strength.</summary>
    /// <param name="merge">Whether its delta goes into the layer's own weight.</param>
    /// <param name="once">Whether passes without gradients use a weight patched once, however cheap the adapter's own product is.</param>
    public void Hang(Network network, Adapter adapter, double strength, bool merge, bool once)
    {
        var place = hanging.FindIndex(one => one.Network == network);
        var given = new Hanging(network, adapter, strength, merge, once);
        if (place >= 0 && hanging[place] == given) return;
        if (place < 0) hanging.Add(given);
        else hanging[place] = given;
        Settle();
    }

    /// <summary>Whether a network other than these hangs here.</summary>
    public bool HoldsOther(IReadOnlyCollection<Network> known) => hanging.Any(one => !known.Contains(one.Network));

    /// <summary>Takes a network's adapter away; the last one leaves the layer as it was, bit for bit.</summary>
    public void Remove(Network network)
    {
        hanging.RemoveAll(one => one.Network == network);
        Settle();
        if (hanging.Count == 0) layer.Patch = null;
    }

    /// <summary>Forgets the patched weight: parameters have changed.</summary>
    public void Forget()
    {
        patched?.Weight.Dispose();
        if (patched?.Bias is { } bias && !ReferenceEquals(bias, layer.Bias)) bias.Dispose();
        patched = null;
    }

    /// <inheritdoc/>
    public Tensor Forward(IAdaptableLayer layer, Tensor x)
    {
        var live = hanging.Where(one => !one.Merged && one.Strength != 0);
        if (!is_grad_enabled() && live.All(one => !one.Network.Training) && live.Any(one => one.Once || one.Adapter.PrefersWeight))
        {
            patched ??= Patched(live, layer.Weight, layer.Bias);
            return layer.Apply(x, patched.Value.Weight, patched.Value.Bias);
        }
        using var scope = NewDisposeScope();
        Tensor? y = null;
        foreach (var one in hanging)
            if (!one.Merged && one.Strength != 0) y = one.Adapter.Forward(x, y, one.Strength);
        return (y ?? layer.Apply(x, layer.Weight, layer.Bias)).MoveToOuterDisposeScope();
    }

    /// <summary>Brings the layer's own weight in line with what is merged.</summary>
    private void Settle()
    {
        Forget();
        foreach (var one in hanging) one.Adapter.BaseChanged();
        var merged = hanging.Where(one => one.Merged);
        if (!merged.Any() && original is null) return;
        layer.Widen();
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        original ??= (layer.Weight.clone().DetachFromDisposeScope(), layer.Bias?.clone().DetachFromDisposeScope());
        var (weight, bias) = original.Value;
        if (merged.Any())
        {
            var (newWeight, newBias) = Patched(merged, weight, bias);
            layer.Weight.copy_(newWeight);
            layer.Bias?.copy_(newBias!);
            newWeight.Dispose();
            if (!ReferenceEquals(newBias, bias)) newBias?.Dispose();
            return;
        }
        layer.Weight.copy_(weight);
        layer.Bias?.copy_(bias!);
        weight.Dispose();
        bias?.Dispose();
        original = null;
    }

    // fp32 throughout, rounded once to the type of the layer's passes; outlives every scope: Forget or Settle disposes it.
    private (Tensor Weight, Tensor? Bias) Patched(IEnumerable<Hanging> adapters, Tensor weight, Tensor? bias)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var (w, b) = (weight.to_type(ScalarType.Float32), bias);
        foreach (var one in adapters)
        {
            w = one.Adapter.Weight(w, one.Strength);
            b = one.Adapter.Bias(b, one.Strength);
        }
        return (w.to_type(layer.Dtype).DetachFromDisposeScope(), ReferenceEquals(b, bias) ? b : b!.to_type(layer.Dtype).DetachFromDisposeScope());
    }
}
