using System.Globalization;

namespace Levain.Training;

/// <summary>Watches a run for losses that are no numbers and for training that does nothing.</summary>
/// <param name="plainSquares">Whether losses are unweighted mean squares, of which 1 means that the prediction says nothing.</param>
internal sealed class Diagnosis(bool plainSquares)
{
    // So many updates without any gradient: dropouts of whole modules can leave one or two without.
    private const int DeadUpdates = 20;

    // So many losses in a row near 1. A working base falls well below at large timesteps, so this cannot happen to it by chance.
    private const int FlatLosses = 200;
    private const double FlatDeviation = 0.2, FlatMean = 0.02;

    private readonly Queue<double> losses = new();
    private int dead;

    /// <summary>Takes in the loss of a batch.</summary>
    /// <exception cref="RunException">It is no number, or has been 1 for long.</exception>
    public void Loss(double loss, int step, IEnumerable<string> pictures)
    {
        if (!double.IsFinite(loss))
            throw new RunException(Text($"the loss of step {step} is {loss} (pictures: {string.Join(", ", pictures)}). The usual causes are a learning rate that is too high and half precision: lower the rate to a third, or set training.precision = \"fp32\"."));
        if (!plainSquares) return;
        losses.Enqueue(loss);
        if (losses.Count > FlatLosses) losses.Dequeue();
        if (losses.Count == FlatLosses && losses.All(value => Math.Abs(value - 1) < FlatDeviation) && Math.Abs(losses.Average() - 1) < FlatMean)
            throw new RunException(Text($"the loss has been 1 for {FlatLosses} batches up to step {step}: the base predicts nothing of the noise. It is probably no epsilon-prediction model of SD 1.x, or a broken file; look at it with: levain inspect"));
    }

    /// <summary>Takes in the length of an update's gradient.</summary>
    /// <exception cref="RunException">It is no number, or has been 0 for long.</exception>
    public void Gradient(double norm, int step)
    {
        if (!double.IsFinite(norm))
            throw new RunException(Text($"the gradient of step {step} is {norm}. The usual causes are a learning rate that is too high and half precision: lower the rate to a third, or set training.precision = \"fp32\"."));
        dead = norm == 0 ? dead + 1 : 0;
        if (dead == DeadUpdates)
            throw new RunException(Text($"the gradient has been exactly 0 for {DeadUpdates} steps up to step {step}: nothing is learnt. Look at network.dropout, network.module_dropout and the learning rates."));
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
