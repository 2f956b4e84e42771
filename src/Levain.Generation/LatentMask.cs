using static TorchSharp.torch;

namespace Levain.Generation;

/// <summary>Keeps a part of a latent while the rest is drawn anew.</summary>
/// <param name="Keep">How much of the original stays in each cell, 0 to 1, broadcasting with [B, 4, H, W].</param>
/// <param name="Original">The original latent, [B, 4, H, W].</param>
internal sealed record LatentMask(Tensor Keep, Tensor Original)
{
    /// <summary>Puts what is kept over <paramref name="latent"/>; the caller's scope owns the result.</summary>
    public Tensor Blend(Tensor latent)
    {
        using var scope = NewDisposeScope();
        return (latent * (1 - Keep) + Original * Keep).MoveToOuterDisposeScope();
    }
}
