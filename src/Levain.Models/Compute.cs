using TorchSharp;

namespace Levain.Models;

/// <summary>How much memory a step may keep for its backward pass.</summary>
public enum MemoryPolicy
{
    /// <summary>Keep what fits in the memory available, recompute the rest.</summary>
    Auto,

    /// <summary>Recompute every block: least memory, about 1.45 times the arithmetic.</summary>
    Lean,

    /// <summary>Keep everything.</summary>
    Fast,
}

/// <summary>Where and how tensors are computed. Made once at the application's edge, passed down, never changed.</summary>
/// <param name="Device">cpu or cuda.</param>
/// <param name="Dtype">Type of the frozen base's weights and activations: fp32, bf16 or fp16. Adapters are always fp32 masters.</param>
/// <param name="Memory">What a training step keeps for its backward pass.</param>
public sealed record Compute(torch.Device Device, torch.ScalarType Dtype, MemoryPolicy Memory = MemoryPolicy.Auto)
{
    /// <summary>Type the base's matrices are kept in, widened for the moment of their use; null for <see cref="Dtype"/>.</summary>
    public torch.ScalarType? Storage { get; init; }

    /// <summary>Numbers that a matrix has at least to be kept as <see cref="Storage"/> says; smaller ones are kept as <see cref="Dtype"/>. Default 0: all.</summary>
    public long StoredFrom { get; init; }

    /// <summary>Whether <see cref="Dtype"/> is what the machine does best rather than what the user asked for; a model too small to gain by it then stays in fp32.</summary>
    public bool ChosenByMachine { get; init; }

    /// <summary>Whether the autoencoder computes in fp32 whatever <see cref="Dtype"/> is.</summary>
    public bool WideVae { get; init; }

    /// <summary>fp32 on the CPU: the reference's arithmetic.</summary>
    public static Compute Cpu { get; } = new(torch.CPU, torch.ScalarType.Float32);
}
