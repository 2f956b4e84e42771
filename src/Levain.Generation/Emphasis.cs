using static TorchSharp.torch;

namespace Levain.Generation;

/// <summary>What becomes of weights in a prompt; the webui's choices.</summary>
public enum Emphasis
{
    /// <summary>States are multiplied, then all brought back to their old mean: the webui's default.</summary>
    Original,

    /// <summary>States are multiplied, nothing else.</summary>
    NoNorm,

    /// <summary>Brackets are read, weights are not used.</summary>
    Ignore,

    /// <summary>Brackets are text.</summary>
    None,
}

/// <summary>Applies weights to the states of a text encoder.</summary>
public static class Emphases
{
    /// <param name="states">States of one chunk of every text encoded together, [B, 77, C].</param>
    /// <param name="weights">Their weights, [B, 77].</param>
    /// <returns>Weighted states; the caller's scope owns them.</returns>
    public static Tensor Apply(this Emphasis emphasis, Tensor states, Tensor weights)
    {
        using var scope = NewDisposeScope();
        if (emphasis is Emphasis.Ignore or Emphasis.None) return states.alias().MoveToOuterDisposeScope();
        var weighted = states * weights.unsqueeze(-1);
        // One mean over all texts encoded together: the variants of a scheduled prompt shift each other a little, as in the webui.
        if (emphasis == Emphasis.Original) weighted = weighted * (states.mean() / weighted.mean());
        return weighted.MoveToOuterDisposeScope();
    }
}
