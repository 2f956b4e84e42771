using Levain.Core;
using Levain.Models;
using Levain.Networks;
using Levain.Training.Settings;
using TorchSharp;

namespace Levain.Training.Planning;

/// <summary>What the header of a base tells: how large its parts are, and where adapters would hang. No weight is read.</summary>
/// <param name="UNet">Numbers in the U-Net.</param>
/// <param name="TextEncoder">Numbers in the text encoder.</param>
/// <param name="Vae">Numbers in the VAE.</param>
/// <param name="WideNumbers">Whether the file holds 32-bit numbers.</param>
/// <param name="Adapters">Numbers that are trained: those of the network's adapters, or of the model's own parts.</param>
public sealed record BaseFacts(long UNet, long TextEncoder, long Vae, bool WideNumbers, long Adapters)
{
    /// <summary>Reads the header; what cannot be trained upon becomes a problem that says what the file is.</summary>
    internal static BaseFacts? Read(RunSettings settings, Problems all)
    {
        var (model, problems) = (settings.Model, all.In("model"));
        if (model.Base is not { } path) return null;
        if (model.Vae is { } vae && !File.Exists(vae) && !Directory.Exists(vae))
        {
            problems.Add("vae", $"names {vae}, which is not there.", "Name the file of a VAE, or leave it out.");
            return null;
        }
        if (!File.Exists(path) && !Directory.Exists(path))
        {
            problems.Add("base", $"names {path}, which is not there.", "Name a .safetensors or .ckpt file, or a diffusers folder.");
            return null;
        }
        try
        {
            using var source = CheckpointSource.Open(path, model.Vae);
            if (source.Kind.Variant != ModelVariant.Base)
            {
                problems.Add("base", $"{path} is {source.Kind.Name}.", "Pictures can be drawn with it; train upon an SD 1.x base checkpoint.");
                return null;
            }
            long Count(ModelPart part) => source.Names(part).Sum(name => Product(source.ShapeOf(part, name)));
            return new(Count(ModelPart.UNet), Count(ModelPart.TextEncoder), Count(ModelPart.Vae),
                source.Names(ModelPart.UNet).Take(1).Any(name => source.DtypeOf(ModelPart.UNet, name) is torch.ScalarType.Float32), all.Any ? 0 : Trained());

            long Trained() => settings.Trains is Trains.Model ? Count(ModelPart.UNet) + (settings.FineTune.TextEncoder ? Count(ModelPart.TextEncoder) : 0)
                : settings.Trains is Trains.Hypernetwork ? Networks.Hypernetwork.Length(settings.Hypernetwork.ToOptions(WidthsOf(source)))
                : settings.Trains is Trains.Embedding ? settings.Embedding.Vectors * source.ShapeOf(ModelPart.TextEncoder, "text_model.final_layer_norm.weight")[0]
                : AdapterNumbers(source, settings.Network, settings.Compat, all.In("network"));
        }
        catch (CheckpointException exception)
        {
            problems.Add(exception.Path == model.Vae ? "vae" : "base", exception.Message, "");
            return null;
        }
    }

    // What a U-Net's attentions look at: the text, and pictures at each width.
    private static IEnumerable<long> WidthsOf(CheckpointSource source)
    {
        const string keys = ".to_k.weight";
        return source.Names(ModelPart.UNet).Where(name => name.EndsWith(keys, StringComparison.Ordinal)).Select(name => source.ShapeOf(ModelPart.UNet, name)[1]);
    }

    // Every adapter as it will be made, and what keeps one from hanging on its layer.
    private static long AdapterNumbers(CheckpointSource source, NetworkSettings network, Compat compat, Problems problems)
    {
        if (network is { RankFromWeights: true, Weights: { } weights }) return StartingFiles.Numbers(weights);
        if (network.AdapterFamily is not { } family) return 0;
        using var scope = TorchSharp.torch.NewDisposeScope();
        using var outline = new ModelOutline(source);
        var options = network.ToOptions(wholeAlpha: false, compat);
        var targets = family.Targets(options);
        var total = 0L;
        foreach (var site in new ModelLayers(options.TrainTextEncoder ? outline.TextEncoder : [], options.TrainUNet ? outline.UNet : []).Sites)
        {
            if (options.AdapterAt(site, targets) is not var (own, numbers)) continue;
            if (own.Check(site, numbers) is { } problem)
            {
                problems.Add(problem.Where, problem.What, problem.Fix);
                return 0;
            }
            total += own.Create(site, numbers).Parameters.Sum(parameter => parameter.Length);
        }
        problems.Require(total > 0, "family", $"is {network.Family}, which finds no layer in this base to adapt.", "Look at preset, include, exclude and the ranks.");
        return total;
    }

    private static long Product(long[] shape) => shape.Aggregate(1L, (product, side) => product * side);
}
