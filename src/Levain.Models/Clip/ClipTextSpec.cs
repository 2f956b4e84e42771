using Levain.Core;

namespace Levain.Models.Clip;

/// <summary>The numbers of a CLIP text encoder. Widths and depth are read from the file, see <see cref="SizedBy"/>.</summary>
public sealed record ClipTextSpec
{
    // Every CLIP text encoder has heads of this width.
    private const long HeadWidth = 64;

    private const string TokenTable = "text_model.embeddings.token_embedding.weight";

    /// <summary>Width of a token's state.</summary>
    public required long Width { get; init; }

    /// <summary>Width inside the feed-forward blocks.</summary>
    public required long InnerWidth { get; init; }

    /// <summary>Blocks.</summary>
    public required int Layers { get; init; }

    /// <summary>Tokens known, the special ones included.</summary>
    public long Vocabulary { get; init; } = 49408;

    /// <summary>Tokens in one window.</summary>
    public long Positions { get; init; } = TokenWindows.Length;

    /// <summary>Added to the variance in every norm.</summary>
    public double Epsilon { get; init; } = 1e-5;

    /// <summary>Attention heads.</summary>
    public long Heads => Width / HeadWidth;

    /// <summary>CLIP ViT-L/14, the text encoder of SD 1.x (Radford et al. 2021, https://arxiv.org/abs/2103.00020, table 19).</summary>
    public static ClipTextSpec ClipL { get; } = new() { Width = 768, InnerWidth = 3072, Layers = 12 };

    /// <summary>This architecture with the widths and depth of the tensors at hand.</summary>
    /// <exception cref="CheckpointException">The tensors are not those of a CLIP-L text encoder.</exception>
    public ClipTextSpec SizedBy(ComponentWeights weights)
    {
        if (!weights.Has(TokenTable) && weights.Has("token_embedding.weight"))
            throw new CheckpointException(weights.Path, "holds a text encoder in OpenCLIP's layout (SD 2, SDXL); this version runs SD 1's CLIP-L.", "token_embedding.weight");
        var table = weights.Shape(TokenTable);
        var layers = 0;
        while (weights.Has($"text_model.encoder.layers.{layers}.mlp.fc1.weight")) layers++;
        return this with
        {
            Vocabulary = table[0],
            Width = table[1],
            InnerWidth = weights.Shape("text_model.encoder.layers.0.mlp.fc1.weight")[0],
            Layers = layers,
            Positions = weights.Shape("text_model.embeddings.position_embedding.weight")[0],
        };
    }
}
