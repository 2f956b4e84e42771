using Levain.Formats;
using Levain.Networks;
using Levain.Training.Settings;
using static TorchSharp.torch;

namespace Levain.Training;

public sealed partial class Run
{
    // Merged before anything else sees the base; taken out again when the run is disposed. kohya makes each of them as if it were to be trained.
    private List<Network> MergeBaseNetworks()
    {
        using var scope = NewDisposeScope();
        var merged = new List<Network>();
        foreach (var one in settings.Model.Networks)
        {
            using var file = TensorFile.Open(one.File!);
            var network = Network.Load(file, Layers, new(), random.Torch);
            merged.Add(network);
            foreach (var note in network.Notes) events?.Report(new RunWarned($"{one.File}: {note}"));
            network.Merge(one.Strength);
        }
        return merged;
    }

    private Trained StartTraining() => settings.Trains switch
    {
        Trains.Model => new TrainedModel(settings, model, plan.TextEncoderSteps),
        Trains.Hypernetwork => new TrainedHypernetwork(settings, model, random),
        _ => new TrainedNetwork(StartNetwork(), settings, random),
    };

    // New, with the values of a file, or with its ranks too.
    private Network StartNetwork()
    {
        using var scope = NewDisposeScope();
        var options = settings.Network.ToOptions(wholeAlpha: settings.Kohya?.Wholes.Contains("network_alpha") is true, compat) with { GrownTargets = compat.TargetsGrow && settings.Model.Networks.Count > 0 };
        if (settings.Network.Weights is not { } path) return Network.Create(options, Layers, random.Torch);
        using var file = TensorFile.Open(path);
        if (!settings.Network.RankFromWeights)
        {
            var filled = Network.Create(options, Layers, random.Torch);
            foreach (var note in filled.Fill(file, Layers, compat.WarmStartKeepsScale)) events?.Report(new RunWarned(note));
            return filled;
        }
        if (compat.FileRanksOnly) options = new() { TrainUNet = options.TrainUNet, TrainTextEncoder = options.TrainTextEncoder };
        var loaded = Network.Load(file, Layers, options, random.Torch);
        foreach (var note in loaded.Notes) events?.Report(new RunWarned($"{path}: {note}"));
        return loaded;
    }

    private ModelLayers Layers => new(model.TextEncoder.AdaptableLayers, model.UNet.AdaptableLayers);
}
