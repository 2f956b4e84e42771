using static TorchSharp.torch;

namespace Levain.Models.Clip;

/// <summary>A batch of captions as the states that the U-Net looks at, put together from several windows as kohya does.</summary>
public static class CaptionEncoding
{
    /// <summary>
    /// Every window is encoded by itself; the result is the first window's BOS, the 75 inner states of each window, and the last
    /// window's EOS. States are multiplied by their token's weight, and nothing is brought back to its mean afterwards.
    /// </summary>
    /// <param name="model">The text encoder; gradients flow through it.</param>
    /// <param name="captions">Captions with the same number of windows n each.</param>
    /// <param name="clipSkip">See <see cref="ClipTextModel.forward"/>.</param>
    /// <returns>States, [B, 75n + 2, C]; the caller's scope owns them.</returns>
    public static Tensor Encode(ClipTextModel model, IReadOnlyList<TokenWindows> captions, int clipSkip = 1)
    {
        using var scope = NewDisposeScope();
        var windows = captions[0].Ids.Length;
        if (captions.Any(caption => caption.Ids.Length != windows)) throw new ArgumentException("the captions of a batch need the same number of windows", nameof(captions));

        var device = model.parameters().First().device;
        var ids = stack(captions.Select(caption => caption.IdsTensor())).to(device);          // [B, n, 77]
        var states = model.call(ids.flatten(0, 1), clipSkip);
        states = states.unflatten(0, [captions.Count, windows]);                              // [B, n, 77, C]
        var inner = states.narrow(2, 1, TokenWindows.Inner).flatten(1, 2);                    // [B, 75n, C]
        if (captions.Any(caption => caption.Weights is not null))
            inner = inner * InnerWeights(captions, windows).to(inner.dtype, device).unsqueeze(-1);
        var first = states.select(1, 0).narrow(1, 0, 1);
        var last = states.select(1, windows - 1).narrow(1, TokenWindows.Length - 1, 1);
        return cat([first, inner, last], 1).MoveToOuterDisposeScope();
    }

    /// <summary>Weights of the inner ids, [B, 75n]; 1 for a caption without weights.</summary>
    private static Tensor InnerWeights(IReadOnlyList<TokenWindows> captions, int windows) => tensor(
        captions.SelectMany(caption => caption.Weights is { } weights
            ? weights.SelectMany(window => window[1..^1])
            : Enumerable.Repeat(1f, windows * TokenWindows.Inner)).ToArray(),
        captions.Count, windows * TokenWindows.Inner);
}
