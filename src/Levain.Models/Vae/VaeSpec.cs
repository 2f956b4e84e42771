namespace Levain.Models;

/// <summary>The numbers of an autoencoder; widths are read from the file.</summary>
public sealed record VaeSpec
{
    /// <summary>Channels of each level, from the full picture down; the picture is halved between levels.</summary>
    public required IReadOnlyList<long> Channels { get; init; }

    /// <summary>Channels of a latent.</summary>
    public long LatentChannels { get; init; } = 4;

    /// <summary>Resnets of a level in the encoder; one more in the decoder.</summary>
    public int ResnetsPerLevel { get; init; } = 2;

    /// <summary>Every norm of the autoencoder.</summary>
    public GroupNormSpec Norm { get; init; } = new(32, 1e-6);

    /// <summary>What latents are multiplied by before the U-Net sees them, so that their deviation is near 1: 0.18215 for SD 1 and 2, 0.13025 for SDXL.</summary>
    public double ScaleFactor { get; init; } = 0.18215;

    /// <summary>The autoencoder of SD 1 and 2.</summary>
    public static VaeSpec Sd1 { get; } = new() { Channels = [128, 256, 512, 512] };

    /// <summary>The autoencoder of SDXL: the same numbers, other latents.</summary>
    public static VaeSpec Sdxl { get; } = Sd1 with { ScaleFactor = 0.13025 };

    /// <summary>This architecture with the widths of the tensors at hand.</summary>
    public VaeSpec SizedBy(ComponentWeights weights)
    {
        var channels = new List<long>();
        while (weights.ShapeOf($"encoder.down_blocks.{channels.Count}.resnets.0.conv1.weight") is [var width, ..]) channels.Add(width);
        return this with { Channels = channels, LatentChannels = weights.Shape("post_quant_conv.weight")[0] };
    }
}
