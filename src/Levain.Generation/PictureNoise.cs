using Levain.Diffusion;
using static TorchSharp.torch;

namespace Levain.Generation;

/// <summary>All noise of the pictures of one batch: each has its own source, so that a picture does not depend on its neighbours.</summary>
internal sealed class PictureNoise : IDisposable
{
    private readonly List<SeedNoise> sources;
    private readonly List<BrownianTree>? trees;
    private readonly Device device;

    /// <param name="kind">Which random numbers seeds stand for.</param>
    /// <param name="seeds">Seed and noise options of each picture.</param>
    /// <param name="plan">The walk, whose sampler may ask for a Brownian motion.</param>
    /// <param name="shape">Shape of one picture's latent, [4, H, W].</param>
    public PictureNoise(NoiseKind kind, IReadOnlyList<(long Seed, SeedNoiseOptions Options)> seeds, SamplingPlan plan, long[] shape, Device device)
    {
        this.device = device;
        sources = [.. seeds.Select(picture => new SeedNoise(kind, picture.Seed, picture.Options, shape))];
        trees = plan.Sampler.Brownian ? [.. seeds.Select(picture => new BrownianTree(kind, picture.Seed, plan.Span, shape))] : null;
    }

    /// <summary>Noise the pictures begin with, [B, 4, H, W]; the caller's scope owns it.</summary>
    public Tensor First() => Together(sources.Select(source => source.Next()));

    /// <summary>Noise for the way between two levels, [B, 4, H, W]; the caller's scope owns it.</summary>
    public Tensor Next(double from, double to) =>
        trees is null ? First() : Together(trees.Select(tree => tree.Noise(from, to)));

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var source in sources) source.Dispose();
    }

    private Tensor Together(IEnumerable<Tensor> noises)
    {
        using var scope = NewDisposeScope();
        return stack([.. noises]).to(device).MoveToOuterDisposeScope();
    }
}
