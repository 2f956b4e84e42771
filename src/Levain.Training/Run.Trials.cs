using static TorchSharp.torch;

namespace Levain.Training;

public sealed partial class Run
{
    private Snapshot? start;

    /// <summary>
    /// Makes steps from where the run stood at the first call, judges by the pictures set aside, and says the mean loss; infinity where training goes wrong.
    /// Every call sees the same pictures, noise and first values.
    /// </summary>
    /// <param name="count">Steps; 0 judges the start itself.</param>
    /// <param name="factor">What a group's learning rate is multiplied by, by its name.</param>
    /// <param name="cancel">Looked at between two steps.</param>
    internal double Try(int count, Func<string, double> factor, CancellationToken cancel = default)
    {
        if (start is null) start = Copied(Take());
        else Restore(start);
        updater.Factor = factor;
        try
        {
            for (; step < count; (epoch, batchesDone, slotShift) = (epoch + 1, 0, 0))
                foreach (var batch in loader.Epoch(epoch))
                {
                    cancel.ThrowIfCancellationRequested();
                    TrainOn(batch, plan.Length.BatchesPerEpoch);
                    if (step >= count) break;
                }
            return Judge()?.Value ?? throw new InvalidOperationException("No picture is set aside.");
        }
        catch (RunException) { return double.PositiveInfinity; }
    }

    private static Snapshot Copied(Snapshot snapshot)
    {
        using var frozen = no_grad();
        static Tensor copy(Tensor tensor) => tensor.clone().DetachFromDisposeScope();
        return snapshot with
        {
            NetworkValues = copy(snapshot.NetworkValues),
            NetworkGradients = snapshot.NetworkGradients is { } gradients ? copy(gradients) : null,
            Slots = snapshot.Slots.ToDictionary(slot => slot.Key, slot => copy(slot.Value)),
        };
    }

    private void ForgetStart()
    {
        if (start is null) return;
        foreach (var tensor in start.Slots.Values.Append(start.NetworkValues)) tensor.Dispose();
        start.NetworkGradients?.Dispose();
    }
}
