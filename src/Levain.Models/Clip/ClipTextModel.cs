using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Levain.Models.Clip;

/// <summary>The text encoder of SD 1.x: token ids in, a state per token out.</summary>
/// <remarks>Radford et al. 2021, https://arxiv.org/abs/2103.00020; keys as in transformers' <c>CLIPTextModel</c>, whose field order decides which adapter is made first.</remarks>
public sealed class ClipTextModel : Module<Tensor, int, Tensor>
{
    private readonly ClipTextTransformer text_model;

    /// <summary>Allocates a model without initialising its weights; <see cref="ComponentWeights.Fill"/> them.</summary>
    public ClipTextModel(ClipTextSpec spec, Compute compute) : base(nameof(ClipTextModel))
    {
        Spec = spec;
        text_model = new(spec, compute);
        RegisterComponents();
        AdaptableLayers = Levain.Models.AdaptableLayers.NameIn(this);
    }

    /// <summary>The numbers this model was built from.</summary>
    public ClipTextSpec Spec { get; }

    /// <summary>Every linear layer, in the order in which kohya's trainer walks them.</summary>
    public IReadOnlyList<IAdaptableLayer> AdaptableLayers { get; }

    /// <summary>
    /// Whether the blocks behind the last one that is wanted are passed too, without a gradient and for nothing but the numbers that adapters draw in
    /// them: transformers makes the states of all blocks before one is chosen. Default false.
    /// </summary>
    public bool PassesAllBlocks { get; set; }

    /// <summary>The table of token vectors.</summary>
    public EmbeddingLayer Tokens => text_model.embeddings.Table;

    /// <param name="ids">Token ids, int64 [B, N], N at most 77.</param>
    /// <param name="clipSkip">Which block's output is used, counted from the last: 1 the last, 2 the one before. The final norm always follows.</param>
    /// <returns>States, [B, N, C]; the caller's scope owns them.</returns>
    public override Tensor forward(Tensor ids, int clipSkip)
    {
        using var scope = NewDisposeScope();
        return Encode(Embed(ids), clipSkip).MoveToOuterDisposeScope();
    }

    /// <summary>Token vectors without positions, [B, N, C]: where embeddings of a textual inversion are put in.</summary>
    public Tensor Embed(Tensor ids) => text_model.embeddings.Tokens(ids);

    /// <summary>States of tokens that are vectors already; see <see cref="forward"/>.</summary>
    /// <param name="tokens">Token vectors without positions, [B, N, C].</param>
    public Tensor Encode(Tensor tokens, int clipSkip = 1)
    {
        using var scope = NewDisposeScope();
        return text_model.final_layer_norm.call(HiddenState(tokens, Spec.Layers + 1 - clipSkip)).MoveToOuterDisposeScope();
    }

    /// <summary>Output of a block, without the final norm, [B, N, C].</summary>
    /// <param name="tokens">Token vectors without positions, [B, N, C].</param>
    /// <param name="layer">0 for tokens plus positions, i for the output of block i. Later blocks do not run, unless <see cref="PassesAllBlocks"/> says so.</param>
    public Tensor HiddenState(Tensor tokens, int layer)
    {
        if (layer < 0 || layer > Spec.Layers)
            throw new ArgumentOutOfRangeException(nameof(layer), $"this text encoder has {Spec.Layers} layers, so clip skip is 1 to {Spec.Layers + 1}");
        using var scope = NewDisposeScope();
        var x = text_model.embeddings.WithPositions(tokens);
        for (var i = 0; i < layer; i++) x = text_model.encoder.layers[i].call(x);
        if (PassesAllBlocks) PassFrom(layer, x);
        return x.MoveToOuterDisposeScope();
    }

    private void PassFrom(int layer, Tensor x)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        for (var i = layer; i < Spec.Layers; i++) x = text_model.encoder.layers[i].call(x);
    }
}

/// <summary>Holds the parts under their checkpoint names.</summary>
internal sealed class ClipTextTransformer : Module
{
    public readonly ClipEmbeddings embeddings;
    public readonly ClipEncoder encoder;
    public readonly LayerNormLayer final_layer_norm;

    public ClipTextTransformer(ClipTextSpec spec, Compute compute) : base("CLIPTextTransformer")
    {
        embeddings = new(spec, compute);
        encoder = new(spec, compute);
        final_layer_norm = new(spec.Width, spec.Epsilon, compute);
        RegisterComponents();
    }
}

/// <summary>A vector per token and one per place.</summary>
internal sealed class ClipEmbeddings : Module
{
    private readonly EmbeddingLayer token_embedding;
    private readonly EmbeddingLayer position_embedding;

    public ClipEmbeddings(ClipTextSpec spec, Compute compute) : base("CLIPTextEmbeddings")
    {
        token_embedding = new(spec.Vocabulary, spec.Width, compute);
        position_embedding = new(spec.Positions, spec.Width, compute);
        RegisterComponents();
    }

    public EmbeddingLayer Table => token_embedding;

    // [B, N] → [B, N, C]
    public Tensor Tokens(Tensor ids) => token_embedding.call(ids);

    public Tensor WithPositions(Tensor tokens)
    {
        using var scope = NewDisposeScope();
        return (tokens + position_embedding.Table.narrow(0, 0, tokens.shape[1])).MoveToOuterDisposeScope();
    }
}

/// <summary>The blocks.</summary>
internal sealed class ClipEncoder : Module
{
    public readonly ModuleList<ClipEncoderLayer> layers;

    public ClipEncoder(ClipTextSpec spec, Compute compute) : base("CLIPEncoder")
    {
        layers = new([.. Enumerable.Range(0, spec.Layers).Select(_ => new ClipEncoderLayer(spec, compute))]);
        RegisterComponents();
    }
}
