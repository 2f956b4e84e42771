namespace Levain.Training.Watching;

/// <summary>Exponential moving average of the loss, corrected for its start, as TensorBoard smooths its curves.</summary>
/// <param name="memory">Share of the past in each new value, 0..1; 0.95 looks back about 20 steps.</param>
public sealed class SmoothedLoss(double memory = 0.95)
{
    private double sum;
    private double weight;

    /// <summary>The average so far; NaN before the first finite loss.</summary>
    public double Value => weight > 0 ? sum / weight : double.NaN;

    /// <summary>Takes in one loss and returns the average; a loss that is not finite leaves it as it was.</summary>
    public double Next(double loss)
    {
        if (double.IsFinite(loss)) (sum, weight) = (memory * sum + (1 - memory) * loss, memory * weight + (1 - memory));
        return Value;
    }
}
