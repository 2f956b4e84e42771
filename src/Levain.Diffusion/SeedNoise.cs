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

/// <summary>The noise of one picture: the first tensor is where it starts, the next ones are what its sampler asks for.</summary>
public sealed class SeedNoise : IDisposable
{
    private readonly Generator? generator;
    private readonly Philox? philox;
    private readonly long[] shape;

    /// <param name="shape">Shape of one picture's latent, [4, H, W].</param>
    public SeedNoise(NoiseKind kind, long seed, params long[] shape)
    {
        this.shape = shape;
        if (kind == NoiseKind.Gpu) philox = new((ulong)seed);
        else generator = new Generator((ulong)seed & uint.MaxValue, CPU);       // the CPU generator reads the low 32 bits
    }

    /// <summary>The next noise, fp32 [4, H, W]; the caller's scope owns it.</summary>
    public Tensor Next() => philox is null
        ? randn(shape, ScalarType.Float32, generator: generator)
        : tensor(philox.Normal((int)shape.Aggregate(1L, (product, side) => product * side)), shape);

    /// <inheritdoc/>
    public void Dispose() => generator?.Dispose();
}
