using Levain.Formats;
using Levain.Networks;
using Levain.Training.Settings;
using static TorchSharp.torch;

namespace Levain.Training;

public sealed partial class Run
{
    // Merged before text encoder or U-Net is asked anything; taken out again when the run is disposed. kohya makes each of them as if it were to be trained.
    private List<Network> MergeBaseNetworks()
    {
        using var scope = NewDisposeScope();
        var merged = new List<Network>();
        foreach (var one in settings.Model.Networks)
        {
            using var file = TensorFile.Open(one.File!);
            if (compat.FileRanksOnly) DrawDefaultLycoris();
            var network = Network.Load(file, Layers, new() { Family = compat.FileRanksOnly ? FamilyOfFiles : AdapterFamilies.Lora.Name }, random.Torch);
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
        var options = settings.Network.ToOptions(wholeAlpha: settings.Kohya?.Wholes.Contains("network_alpha") is true, compat) with
        {
            GrownTargets = compat.TargetsGrow && (settings.Model.Networks.Count > 0 || settings.Network is { ConvRank: 0, AdapterFamily.OneSize: false }),
        };
        if (settings.Network.Weights is not { } path) return Network.Create(options, Layers, random.Torch);
        using var file = TensorFile.Open(path);
        if (!settings.Network.RankFromWeights)
        {
            var filled = Network.Create(options, Layers, random.Torch);
            foreach (var note in filled.Fill(file, Layers, compat.WarmStartKeepsScale)) events?.Report(new RunWarned(note));
            return filled;
        }
        if (compat.FileRanksOnly)
        {
            DrawDefaultLycoris();
            options = options with
            {
                Family = FamilyOfFiles,
                Dropout = 0,
                RankDropout = null,
                ModuleDropout = null,
                LoraPlusRatio = null,
                LoraPlusUNetRatio = null,
                LoraPlusTextEncoderRatio = null,
            };
        }
        var loaded = Network.Load(file, Layers, options, random.Torch);
        foreach (var note in loaded.Notes) events?.Report(new RunWarned($"{path}: {note}"));
        return loaded;
    }

    // What a file's low-rank products become: the chosen module's class, and LyCORIS knows its own DyLoRA from no file.
    private string FamilyOfFiles => IsLycoris ? AdapterFamilies.LoCon.Name : settings.Network.Family;

    private bool IsLycoris => settings.Network.AdapterFamily is { Origin: AdapterOrigin.Lycoris };

    // L-21: before LyCORIS makes a network of a file, it makes one with its defaults, and throws it away.
    private void DrawDefaultLycoris()
    {
        if (!IsLycoris) return;
        using var unused = Network.Create(new() { Family = AdapterFamilies.LoCon.Name, Rank = 4, Alpha = 1 }, Layers, random.Torch);
    }

    private ModelLayers Layers => new(model.TextEncoder.AdaptableLayers, model.UNet.AdaptableLayers);
}
