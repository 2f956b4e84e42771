using Levain.Core;
using Levain.Models;
using Levain.Training.Settings;
using TorchSharp;

namespace Levain.Training.Planning;

/// <summary>What the header of a base tells: how large its parts are, and where adapters would hang. No weight is read.</summary>
/// <param name="UNet">Numbers in the U-Net.</param>
/// <param name="TextEncoder">Numbers in the text encoder.</param>
/// <param name="Vae">Numbers in the VAE.</param>
/// <param name="WideNumbers">Whether the file holds 32-bit numbers.</param>
/// <param name="Adapters">Numbers of the network's adapters.</param>
public sealed record BaseFacts(long UNet, long TextEncoder, long Vae, bool WideNumbers, long Adapters)
{
    /// <summary>Reads the header; what cannot be trained upon becomes a problem that says what the file is.</summary>
    internal static BaseFacts? Read(ModelSettings model, NetworkSettings network, Problems problems)
    {
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
                source.Names(ModelPart.UNet).Take(1).Any(name => source.DtypeOf(ModelPart.UNet, name) is torch.ScalarType.Float32), AdapterNumbers(source, network));
        }
        catch (CheckpointException exception)
        {
            problems.Add(exception.Path == model.Vae ? "vae" : "base", exception.Message, "");
            return null;
        }
    }

    // Down and up halves of every layer in the blocks a LoRA hangs on, by rank; ranks of single blocks change little and are left aside.
    private static long AdapterNumbers(CheckpointSource source, NetworkSettings network)
    {
        if (network is { RankFromWeights: true, Weights: { } weights }) return StartingFiles.Numbers(weights);
        var total = 0L;
        foreach (var (part, trained) in new[] { (ModelPart.UNet, network.Train is not TrainedPart.TextEncoder), (ModelPart.TextEncoder, network.Train is not TrainedPart.Unet) })
        {
            if (!trained) continue;
            foreach (var name in source.Names(part).Where(name => name.EndsWith(".weight", StringComparison.Ordinal)))
            {
                var shape = source.ShapeOf(part, name);
                if (shape.Length is not (2 or 4) || !IsTarget(part, name, network.ConvRank is > 0)) continue;
                var spatial = shape.Length == 4 && shape[2] > 1;
                total += (spatial ? network.ConvRank ?? 0 : network.Rank) * (shape[0] + Product(shape) / shape[0]);
            }
        }
        return total;
    }

    private static bool IsTarget(ModelPart part, string name, bool convolutions) => part is ModelPart.TextEncoder
        ? name.Contains(".layers.", StringComparison.Ordinal)
        : name.Contains(".attentions.", StringComparison.Ordinal)
          || convolutions && (name.Contains(".resnets.", StringComparison.Ordinal) || name.Contains("samplers.", StringComparison.Ordinal));

    private static long Product(long[] shape) => shape.Aggregate(1L, (product, side) => product * side);
}
