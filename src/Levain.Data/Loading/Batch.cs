using Levain.Core;
using static TorchSharp.torch;

namespace Levain.Data;

/// <summary>Pictures of one size with their captions, as one training step uses them.</summary>
public sealed class Batch : IDisposable
{
    internal Batch(PixelSize size, IReadOnlyList<Sample> samples) => (Size, Samples) = (size, samples);

    /// <summary>Size of all pictures of the batch, px.</summary>
    public PixelSize Size { get; }

    /// <summary>What was drawn for each picture: file, caption, flip, weight, geometry.</summary>
    public IReadOnlyList<Sample> Samples { get; }

    /// <summary>Pixels in −1..1, [B, 3, H, W]; null where <see cref="Latents"/> are cached. The batch owns it.</summary>
    public Tensor? Images { get; internal init; }

    /// <summary>Cached latents, not yet multiplied by the scale factor, [B, 4, H/8, W/8]; null where nothing is cached. The batch owns it.</summary>
    public Tensor? Latents { get; internal init; }

    /// <summary>Weights of the loss in 0..1, from alpha channels or mask pictures, [B, H, W] in px; null without masks. The batch owns it.</summary>
    public Tensor? Masks { get; internal init; }

    /// <summary>File of each picture.</summary>
    public IEnumerable<string> Paths => Samples.Select(sample => sample.Path);

    /// <summary>Name of each picture with its folder, <c>folder/file</c>.</summary>
    public IEnumerable<string> Keys => Samples.Select(sample => sample.Key);

    /// <summary>Caption of each picture after shuffling, dropouts and the rest.</summary>
    public IReadOnlyList<string> Captions => [.. Samples.Select(sample => sample.Caption)];

    /// <summary>Which pictures are mirrored.</summary>
    public IReadOnlyList<bool> Flips => [.. Samples.Select(sample => sample.Flipped)];

    /// <summary>Factor of each picture's loss: the prior loss weight for regularization pictures, else 1.</summary>
    public IReadOnlyList<float> LossWeights => [.. Samples.Select(sample => (float)sample.LossWeight)];

    /// <inheritdoc/>
    public void Dispose()
    {
        Images?.Dispose();
        Latents?.Dispose();
        Masks?.Dispose();
    }
}
