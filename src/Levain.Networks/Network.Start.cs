using Levain.Core;
using Levain.Formats;
using static TorchSharp.torch;

namespace Levain.Networks;

public sealed partial class Network
{
    /// <summary>A network with the layers, ranks and alphas of a file, to be trained on. The initial values it would have had are drawn and thrown away, as kohya does.</summary>
    /// <param name="file">The file; may be disposed afterwards.</param>
    /// <param name="layers">The base's layers.</param>
    /// <param name="options">What the file does not say: trained parts, dropouts, block rates, LoRA+.</param>
    /// <param name="generator">Drawn from in kohya's order.</param>
    /// <exception cref="CheckpointException">Nothing in it fits the base, or it holds a kind of adapter or model this version lacks; the message names it.</exception>
    public static Network Load(TensorFile file, ModelLayers layers, NetworkOptions options, Generator generator)
    {
        var (adapters, notes) = NetworkFile.Read(file, layers, AdapterFamilies.Named(options.Family), options.Form.Repeated);
        bool trains(Adapter adapter) => adapter.Site.Part == NetworkPart.UNet ? options.TrainUNet : options.TrainTextEncoder;
        if (!adapters.Any(pair => trains(pair.Adapter)))
            throw new CheckpointException(file.Path, "adapts nothing of the part that is to be trained. Use another file, or train both parts.");
        // LyCORIS makes them in the order of the file's keys, and its hash of the result goes by it.
        if (options.Form.AsLycoris && AdapterFamilies.Named(options.Family).Origin == AdapterOrigin.Lycoris)
            adapters = [.. adapters.OrderBy(pair => pair.Adapter.Site.Part).ThenBy(pair => pair.Adapter.Name + ".", StringComparer.Ordinal)];
        var network = new Network(options, adapters[0].Adapter.Family, [.. adapters.Select(pair => pair.Adapter).Where(trains)]) { Notes = notes };
        foreach (var (adapter, _) in adapters)
        {
            adapter.TakeDropouts(options);
            if (trains(adapter)) adapter.Initialize(generator);
            else InitializeAndDrop(adapter, generator);
        }
        foreach (var (adapter, parts) in adapters)
            if (trains(adapter)) adapter.Load(parts);
        return network;
    }

    /// <summary>Takes the values of a file into this network's adapters, to go on from them.</summary>
    /// <param name="file">The file; may be disposed afterwards.</param>
    /// <param name="layers">The base's layers.</param>
    /// <param name="keepScale">K-01: adapters keep the scale of their own alpha, and are saved with the file's.</param>
    /// <returns>What did not fit on either side, a sentence each.</returns>
    /// <exception cref="CheckpointException">Nothing in it fits the base, or an adapter has another shape than here.</exception>
    public IReadOnlyList<string> Fill(TensorFile file, ModelLayers layers, bool keepScale)
    {
        var (sites, notes) = NetworkFile.Place(file, layers);
        foreach (var adapter in Adapters)
        {
            if (!sites.TryGetValue(adapter.Site, out var parts)) continue;
            if (adapter.Family.Read(adapter.Site, parts) is not { } read)
                throw new CheckpointException(file.Path, $"holds {string.Join(", ", parts.Names)}, which is no {adapter.Family.Name}. Use a file of that family, or the file's family in network.family.", parts.Module);
            if (read.Numbers.Rank != adapter.Numbers.Rank && adapter is RankPieces or DoubledLora or TLora)
                throw new CheckpointException(file.Path, $"is of rank {read.Numbers.Rank}, and this network of {adapter.Numbers.Rank}. Set network.rank to the file's.", parts.Module);
            foreach (var parameter in adapter is DoubledLora or TLora ? [] : adapter.Parameters)
                if (parts.Has(parameter.Name) && parts.ShapeOf(parameter.Name).Aggregate(1L, (product, side) => product * side) != parameter.Length)
                    throw new CheckpointException(file.Path, $"has {parameter.Name} as [{string.Join(", ", parts.ShapeOf(parameter.Name))}], and this network has [{string.Join(", ", parameter.Shape)}]. "
                        + "Train with the file's ranks: network.rank_from_weights = true.", parts.Module);
            adapter.Load(parts);
            // kohya takes the file's number as it is, a 0 too: OFT's, where it is no scale but the constraint.
            if (parts.Has("alpha")) adapter.TakeAlpha((keepScale ? parts.Number("alpha") : parts.Numbers(adapter.Numbers.Rank).Alpha) / adapter.FileRanks, keepScale);
        }
        Forget();
        var (untouched, left) = (Adapters.Count(adapter => !sites.ContainsKey(adapter.Site)), sites.Keys.Except(Adapters.Select(adapter => adapter.Site)).Count());
        return
        [
            .. notes,
            .. untouched > 0 ? [$"{untouched} of {Adapters.Count} adapters are not in {Path.GetFileName(file.Path)} and begin anew."] : Array.Empty<string>(),
            .. left > 0 ? [$"{left} adapters of {Path.GetFileName(file.Path)} have no place in this network and were left out."] : Array.Empty<string>(),
        ];
    }
}
