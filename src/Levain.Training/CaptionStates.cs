using Levain.Diffusion;
using Levain.Models.Clip;
using Levain.Training.Settings;
using static TorchSharp.torch;

namespace Levain.Training;

/// <summary>Captions as the states that the U-Net looks at. Those of a text encoder that does not change are kept.</summary>
/// <param name="encoder">The text encoder, adapters on it or not.</param>
/// <param name="model">Length of captions, clip skip, weights.</param>
/// <param name="changes">Whether a caption's states can differ from step to step: the encoder is trained, or its adapters drop out.</param>
/// <param name="words">Words with vectors of their own, and the ids of those; null: none.</param>
internal sealed class CaptionStates(ClipTextModel encoder, ModelSettings model, bool changes, IReadOnlyDictionary<string, int>? words = null) : IDisposable
{
    private const long MostBytes = 128 << 20;
    private readonly Dictionary<string, Tensor> kept = [];
    private bool changing = changes;
    private long bytes;

    /// <summary>States of a batch of captions, [B, N, C]; gradients flow through a trained encoder. The caller's scope owns them.</summary>
    public Tensor Of(IReadOnlyList<string> captions)
    {
        if (changing) return Encode(captions);
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        return cat([.. captions.Select(Kept)]).MoveToOuterDisposeScope();
    }

    /// <summary>Says that from now on a caption's states stay the same.</summary>
    public void Settle() => changing = false;

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var states in kept.Values) states.Dispose();
        kept.Clear();
    }

    private Tensor Kept(string caption)
    {
        if (kept.TryGetValue(caption, out var states)) return states;
        states = Encode([caption]);
        var size = states.numel() * states.element_size();
        if (bytes + size > MostBytes) return states;
        bytes += size;
        return kept[caption] = states.DetachFromDisposeScope();     // freed with this object
    }

    private Tensor Encode(IReadOnlyList<string> captions) =>
        CaptionEncoding.Encode(encoder, [.. captions.Select(Windows)], model.ClipSkip ?? 1);

    private TokenWindows Windows(string caption) => model.WeightedCaptions
        ? TokenWindows.Of(PromptAttention.Parse(caption, breaks: false).Select(piece => (piece.Text, piece.Weight)), model.MaxTokenLength)
        : TokenWindows.Of(words is null ? ClipTokenizer.Instance.Encode(caption) : ClipTokenizer.Instance.Encode(caption, words), model.MaxTokenLength);
}
