namespace Levain.Training;

/// <summary>Mean loss over the last epoch's worth of batches: one slot for each batch of an epoch, overwritten when its turn comes again.</summary>
/// <remarks>kohya's <c>LossRecorder</c>; the sum is kept, not made anew, so that its last digits are kohya's.</remarks>
internal sealed class LossAverage
{
    private readonly List<double> slots = [];
    private double sum;

    /// <summary>The mean; NaN before the first loss.</summary>
    public double Value => slots.Count == 0 ? double.NaN : sum / slots.Count;

    /// <summary>The slots and their running sum, for a snapshot.</summary>
    public (double[] Slots, double Sum) State => ([.. slots], sum);

    /// <summary>Takes in the loss of a batch.</summary>
    /// <param name="batch">Index of the batch in its epoch.</param>
    public void Add(int batch, double loss)
    {
        if (batch >= slots.Count) slots.Add(loss);
        else
        {
            sum -= slots[batch];
            slots[batch] = loss;
        }
        sum += loss;
    }

    /// <summary>Goes on from a snapshot.</summary>
    public void Restore(double[] saved, double savedSum)
    {
        slots.Clear();
        slots.AddRange(saved);
        sum = savedSum;
    }
}
