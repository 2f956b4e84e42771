using static TorchSharp.torch;

namespace Levain.Training;

/// <summary>A moving average of the network's numbers: e ← d·e + (1 − d)·w after every update, with d rising from 2/11 to its full value so that the first steps are soon forgotten.</summary>
/// <remarks>Polyak and Juditsky 1992; the rise is that of TensorFlow's ExponentialMovingAverage, min(d, (1 + n)/(10 + n)).</remarks>
internal sealed class NetworkAverage(Tensor start, double decay) : IDisposable
{
    /// <summary>Its name among a snapshot's slots.</summary>
    public const string Slot = "network_average";

    private const int Rise = 10;

    /// <summary>The average, as long as the network's buffer. This object disposes it.</summary>
    public Tensor Values { get; } = start.detach().clone().DetachFromDisposeScope();

    /// <summary>Takes in the network after an update.</summary>
    /// <param name="network">Its numbers.</param>
    /// <param name="updates">Updates made, this one included.</param>
    public void Add(Tensor network, int updates)
    {
        using var frozen = no_grad();
        Values.lerp_(network, 1 - Math.Min(decay, (1.0 + updates) / (Rise + updates)));
    }

    /// <inheritdoc/>
    public void Dispose() => Values.Dispose();
}
