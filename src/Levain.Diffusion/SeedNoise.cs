using static TorchSharp.torch;

namespace Levain.Diffusion;

/// <summary>Which random numbers a seed stands for.</summary>
public enum NoiseKind
{
    /// <summary>libtorch's CPU generator: the same on every machine.</summary>
    Cpu,

    /// <summary>The numbers of an Nvidia GPU, computed on any machine (Philox); what pictures made on the webui with its default setting used.</summary>
    Gpu,
}

/// <summary>A little of another seed's noise in the first one.</summary>
/// <param name="Seed">The other seed, 0 to 4294967295.</param>
/// <param name="Strength">Its share, 0 to 1; at 1 the picture is the other seed's.</param>
public sealed record VariationSeed(long Seed, double Strength);

/// <summary>How the first noise of a seed is made; the default is plain.</summary>
public sealed record SeedNoiseOptions
{
    /// <summary>Another seed mixed in; null for none.</summary>
    public VariationSeed? Variation { get; init; }

    /// <summary>Latent size at which the seed's noise is drawn, to be placed in the middle of the picture's; null for its own.</summary>
    public (long Height, long Width)? ResizeFrom { get; init; }

    /// <summary>Added to the seed for every noise but the first (the webui's ENSD, "Eta noise seed delta"). Default 0.</summary>
    public long Delta { get; init; }
}

/// <summary>The noise of one picture: the first tensor is where it starts, the next ones are what its sampler asks for.</summary>
/// <remarks>AUTOMATIC1111's webui, <c>rng.ImageRNG</c>.</remarks>
public sealed class SeedNoise : IDisposable
{
    private readonly NoiseKind kind;
    private readonly long seed;
    private readonly SeedNoiseOptions options;
    private readonly long[] shape;
    private Source source;
    private bool first = true;

    /// <param name="kind">Which random numbers the seed stands for.</param>
    /// <param name="seed">The seed.</param>
    /// <param name="shape">Shape of one picture's latent, [4, H, W].</param>
    public SeedNoise(NoiseKind kind, long seed, params long[] shape) : this(kind, seed, new(), shape) { }

    /// <inheritdoc cref="SeedNoise(NoiseKind, long, long[])"/>
    /// <param name="options">How the first noise is made.</param>
    public SeedNoise(NoiseKind kind, long seed, SeedNoiseOptions options, params long[] shape)
    {
        (this.kind, this.seed, this.options, this.shape) = (kind, seed, options, shape);
        source = new(kind, seed);
    }

    /// <summary>The next noise, fp32 [4, H, W]; the caller's scope owns it.</summary>
    public Tensor Next()
    {
        if (!first) return source.Draw(shape);
        first = false;
        using var scope = NewDisposeScope();
        var noise = First().MoveToOuterDisposeScope();
        if (options.Delta != 0)
        {
            source.Dispose();
            source = new(kind, seed + options.Delta);
        }
        return noise;
    }

    /// <inheritdoc/>
    public void Dispose() => source.Dispose();

    private Tensor First()
    {
        long[] drawn = options.ResizeFrom is { } size ? [shape[0], size.Height, size.Width] : shape;
        var resizes = !drawn.SequenceEqual(shape);
        var noise = resizes ? Source.Once(kind, seed, drawn) : source.Draw(shape);
        if (options.Variation is { Strength: not 0 } other) noise = Slerp(noise, Source.Once(kind, other.Seed, drawn), other.Strength);
        return resizes ? Placed(noise, source.Draw(shape)) : noise;
    }

    /// <summary>From <paramref name="low"/> to <paramref name="high"/> along the sphere, row by row.</summary>
    /// <remarks>Rows, not the whole, because the webui takes norms over dimension 1; nearly equal noises are mixed straight, with the shares the other way round, as it does.</remarks>
    internal static Tensor Slerp(Tensor low, Tensor high, double share)
    {
        using var scope = NewDisposeScope();
        const double NearlyEqual = 0.9995;
        var dot = (low / low.norm(1, keepdim: true, p: 2) * (high / high.norm(1, keepdim: true, p: 2))).sum(1);
        if (dot.mean().item<float>() > NearlyEqual) return (low * share + high * (1 - share)).MoveToOuterDisposeScope();
        var angle = dot.acos();
        var sine = angle.sin();
        return ((angle * (1 - share)).sin().div(sine).unsqueeze(1) * low + (angle * share).sin().div(sine).unsqueeze(1) * high).MoveToOuterDisposeScope();
    }

    /// <summary>Noise of another size in the middle of <paramref name="around"/>, cut where it is larger.</summary>
    private static Tensor Placed(Tensor noise, Tensor around)
    {
        var (y, ySource, height) = Overlap(around.shape[1], noise.shape[1]);
        var (x, xSource, width) = Overlap(around.shape[2], noise.shape[2]);
        around.narrow(1, y, height).narrow(2, x, width).copy_(noise.narrow(1, ySource, height).narrow(2, xSource, width));
        return around;

        static (long To, long From, long Length) Overlap(long into, long from)
        {
            var offset = (long)Math.Floor((into - from) / 2.0);
            return (Math.Max(offset, 0), Math.Max(-offset, 0), offset >= 0 ? from : from + 2 * offset);
        }
    }

    /// <summary>A generator of one kind.</summary>
    private sealed class Source : IDisposable
    {
        private readonly Generator? generator;
        private readonly Philox? philox;

        public Source(NoiseKind kind, long seed)
        {
            if (kind == NoiseKind.Gpu) philox = new((ulong)seed);
            else generator = new Generator((ulong)seed & uint.MaxValue, CPU);       // the CPU generator reads the low 32 bits
        }

        public static Tensor Once(NoiseKind kind, long seed, long[] shape)
        {
            using var source = new Source(kind, seed);
            return source.Draw(shape);
        }

        public Tensor Draw(long[] shape) => philox is null
            ? randn(shape, ScalarType.Float32, generator: generator)
            : tensor(philox.Normal((int)shape.Aggregate(1L, (product, side) => product * side)), shape);

        public void Dispose() => generator?.Dispose();
    }
}
