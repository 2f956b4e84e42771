namespace Levain.Models;

/// <summary>The numbers that tell one U-Net of the Stable Diffusion family from another. Widths are read from the file, see <see cref="SizedBy"/>.</summary>
public sealed record UNetSpec
{
    /// <summary>Channels of each level, from the full latent size down.</summary>
    public required IReadOnlyList<long> Channels { get; init; }

    /// <summary>Transformer blocks behind each resnet of a level; 0 where a level has no attention.</summary>
    public required IReadOnlyList<int> Depths { get; init; }

    /// <summary>Transformer blocks in the middle.</summary>
    public required int MiddleDepth { get; init; }

    /// <summary>Width of the text encoder's states.</summary>
    public required long Context { get; init; }

    /// <summary>Attention heads where their count is fixed (SD 1: 8 at every width); 0 where their width is.</summary>
    public int Heads { get; init; }

    /// <summary>Channels of one attention head where that is fixed (SD 2, SDXL: 64); 0 where the count is.</summary>
    public int HeadWidth { get; init; }

    /// <summary>Width of the vector of pooled text and picture sizes beside the timestep (SDXL); 0 without one.</summary>
    public long LabelWidth { get; init; }

    /// <summary>Whether transformers enter and leave through linear layers (SD 2, SDXL) instead of 1×1 convolutions (SD 1): the same numbers, other shapes.</summary>
    public bool LinearProjections { get; init; }

    /// <summary>Channels of a latent.</summary>
    public long LatentChannels { get; init; } = 4;

    /// <summary>Channels behind the latent's at the entry: 5 (mask and masked picture) in inpainting models, else 0.</summary>
    public long FurtherChannels { get; init; }

    /// <summary>Resnets of a level on the way down; one more on the way up.</summary>
    public int ResnetsPerLevel { get; init; } = 2;

    /// <summary>Norms inside resnets and before the last convolution.</summary>
    public GroupNormSpec ResnetNorm { get; init; } = new(32, 1e-5);

    /// <summary>Norms at the entry of transformers.</summary>
    public GroupNormSpec TransformerNorm { get; init; } = new(32, 1e-6);

    /// <summary>Stable Diffusion 1.x (Rombach et al. 2022, https://arxiv.org/abs/2112.10752).</summary>
    public static UNetSpec Sd1 { get; } = new()
    {
        Channels = [320, 640, 1280, 1280],
        Depths = [1, 1, 1, 0],
        MiddleDepth = 1,
        Context = 768,
        Heads = 8,
    };

    /// <summary>Stable Diffusion 2.x.</summary>
    public static UNetSpec Sd2 { get; } = Sd1 with { Context = 1024, Heads = 0, HeadWidth = 64, LinearProjections = true };

    /// <summary>Stable Diffusion XL (Podell et al. 2023, https://arxiv.org/abs/2307.01952).</summary>
    public static UNetSpec Sdxl { get; } = new()
    {
        Channels = [320, 640, 1280],
        Depths = [0, 2, 10],
        MiddleDepth = 10,
        Context = 2048,
        HeadWidth = 64,
        LabelWidth = 2816,
        LinearProjections = true,
    };

    /// <summary>Width of the timestep embedding inside the network.</summary>
    public long TimeChannels => 4 * Channels[0];

    /// <summary>Heads of an attention over this many channels.</summary>
    public long HeadsOf(long channels) => Heads > 0 ? Heads : channels / HeadWidth;

    /// <summary>This architecture with the widths and depths of the tensors at hand, so that a tiny model and a real one run through the same code.</summary>
    public UNetSpec SizedBy(ComponentWeights weights)
    {
        var levels = Count(i => $"down_blocks.{i}.resnets.0.conv1.weight");
        return this with
        {
            Channels = [.. Enumerable.Range(0, levels).Select(i => weights.Shape($"down_blocks.{i}.resnets.0.conv1.weight")[0])],
            Depths = [.. Enumerable.Range(0, levels).Select(i => Depth($"down_blocks.{i}"))],
            MiddleDepth = Depth("mid_block"),
            Context = weights.Shape("mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight")[1],
            LinearProjections = weights.Shape("mid_block.attentions.0.proj_in.weight").Length == 2,
            LabelWidth = weights.ShapeOf("add_embedding.linear_1.weight")?[1] ?? 0,
            LatentChannels = weights.Shape("conv_out.weight")[0],
            FurtherChannels = weights.Shape("conv_in.weight")[1] - weights.Shape("conv_out.weight")[0],
        };

        int Depth(string block) => Count(i => $"{block}.attentions.0.transformer_blocks.{i}.norm1.weight");

        int Count(Func<int, string> name)
        {
            var count = 0;
            while (weights.Has(name(count))) count++;
            return count;
        }
    }
}
