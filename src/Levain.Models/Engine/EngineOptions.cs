using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>How the user wants to compute.</summary>
public sealed record EngineOptions
{
    /// <summary><c>auto</c> (a GPU where there is one), <c>cpu</c>, <c>cuda</c> or <c>cuda:N</c>.</summary>
    public string Device { get; init; } = "auto";

    /// <summary>Type of the base model's weights and activations: fp32, bf16, or on a GPU fp16; null for bf16 where the device is clearly faster with it, else fp32.</summary>
    public ScalarType? Dtype { get; init; }

    /// <summary>Whether the autoencoder computes in fp32 in any case; in fp16 it always does.</summary>
    public bool WideVae { get; init; }

    /// <summary>Threads of one operation; 0 for one per physical core.</summary>
    public int Threads { get; init; }

    /// <summary>How large matrix products are computed, see <see cref="Engine.ProductsByConvolution"/>; null to measure it where it matters.</summary>
    public bool? ProductsByConvolution { get; init; }

    /// <summary>Whether this program's own kernels compute, see <see cref="Engine.OwnKernels"/>; null where the processor can.</summary>
    public bool? OwnKernels { get; init; }

    /// <summary>What a training step keeps for its backward pass.</summary>
    public MemoryPolicy Memory { get; init; } = MemoryPolicy.Auto;
}
