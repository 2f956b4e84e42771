using System.Security.Cryptography;
using Levain.Data;
using Levain.Models;
using Levain.Training.Planning;
using Levain.Training.Settings;
using static TorchSharp.torch;

namespace Levain.Training;

/// <summary>Pictures through the VAE: once before training, or in every step.</summary>
internal static class LatentPreparation
{
    /// <summary>Encodes all pictures of a plan that caches; null where it does not.</summary>
    public static CachedLatents? Cache(RunPlan plan, StableDiffusion model, RunRandom random, IProgress<RunEvent>? events, CancellationToken cancel)
    {
        var where = plan.Settings.LatentCache;
        if (where is LatentCache.Off) return null;
        var kohya = plan.Settings.Compatibility is Compatibility.Kohya;
        var storage = where is LatentCache.Memory ? LatentStorage.Memory : kohya ? LatentStorage.KohyaFiles : LatentStorage.Folder;
        var encoder = new LatentEncoder(storage is LatentStorage.Memory ? "" : Identity(model), images => Moments(model, images), moments => Draw(moments, random),
            plan.Settings.Trains is Trains.Model ? "sdxl" : "sd");
        var latents = CachedLatents.Create([.. plan.Dataset.Parts, .. plan.Judged], encoder, plan.Settings.Compat, storage, Path.Combine(plan.Settings.Output.Folder, "latents"),
            plan.Settings.Cache.VaeBatchSize, new Passing(events), cancel);
        model.ReleaseVae();
        return latents;
    }

    /// <summary>Latents of a batch, drawn from the VAE's distribution, [B, 4, H/8, W/8]; unscaled. The caller's scope owns them.</summary>
    public static Tensor Sample(Tensor images, int atOnce, StableDiffusion model, RunRandom random)
    {
        using var scope = NewDisposeScope();
        var parts = images.split(atOnce).Select(part => Draw(Moments(model, part), random).to(model.Compute.Device)).ToList();
        return (parts.Count == 1 ? parts[0] : cat(parts)).MoveToOuterDisposeScope();
    }

    private static Tensor Moments(StableDiffusion model, Tensor images)
    {
        using var scope = NewDisposeScope();
        var (mean, logVariance) = model.Vae.Encode(images);
        return cat([mean, logVariance], 1).MoveToOuterDisposeScope();
    }

    // mean + σ·noise, as diffusers' DiagonalGaussianDistribution draws.
    private static Tensor Draw(Tensor moments, RunRandom random)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var halves = moments.cpu().chunk(2, 1);
        var noise = randn(halves[0].shape, generator: random.Torch);
        return halves[1].mul(0.5).exp_().mul_(noise).add_(halves[0]).MoveToOuterDisposeScope();
    }

    // The weights themselves: the same VAE in another file is the same.
    private static string Identity(StableDiffusion model)
    {
        using var scope = NewDisposeScope();
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var width = model.Vae.named_parameters().First(pair => pair.parameter.dim() == 1).parameter.dtype;     // that of computing, however they are kept
        foreach (var (name, weight) in model.Vae.named_parameters())
        {
            hash.AppendData(System.Text.Encoding.UTF8.GetBytes(name));
            hash.AppendData(weight.detach().to_type(width).cpu().contiguous().bytes);
        }
        return $"{Convert.ToHexStringLower(hash.GetHashAndReset())[..32]}-{width}";
    }

    // Runs on the caller's thread, so events keep their order.
    private sealed class Passing(IProgress<RunEvent>? events) : IProgress<DataProgress>
    {
        public void Report(DataProgress value) => events?.Report(new Preparing(value.Phase, value.Done, value.Total));
    }
}
