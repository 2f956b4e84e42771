using System.Globalization;

namespace Levain.Training;

/// <summary>Watches a run for losses that are no numbers and for training that does nothing; each is told once.</summary>
/// <param name="plainSquares">Whether losses are unweighted mean squares, of which 1 means that the prediction says nothing.</param>
/// <param name="tell">Takes what is wrong, and what helps: stops the run, or warns.</param>
internal sealed class Diagnosis(bool plainSquares, Action<string> tell)
{
    // So many updates without any gradient: dropouts of whole modules can leave one or two without.
    private const int DeadUpdates = 20;

    // So many losses in a row near 1. A working base falls well below at large timesteps, so this cannot happen to it by chance.
    private const int FlatLosses = 200;
    private const double FlatDeviation = 0.2, FlatMean = 0.02;

    private const string Usual = "The usual causes are a learning rate that is too high and half precision: lower the rate to a third, or set training.precision = \"fp32\".";

    private readonly Queue<double> losses = new();
    private readonly HashSet<string> told = [];
    private int dead;

    /// <summary>Takes in the loss of a batch.</summary>
    public void Loss(double loss, int step, IEnumerable<string> pictures)
    {
        if (!double.IsFinite(loss)) Tell("number", $"the loss of step {step} is {loss} (pictures: {string.Join(", ", pictures)}). {Usual}");
        if (!plainSquares) return;
        losses.Enqueue(loss);
        if (losses.Count > FlatLosses) losses.Dequeue();
        if (losses.Count == FlatLosses && losses.All(value => Math.Abs(value - 1) < FlatDeviation) && Math.Abs(losses.Average() - 1) < FlatMean)
            Tell("flat", $"the loss has been 1 for {FlatLosses} batches up to step {step}: the base predicts nothing of the noise. It is probably no epsilon-prediction model of SD 1.x, or a broken file; look at it with: levain inspect");
    }

    /// <summary>Takes in the length of an update's gradient.</summary>
    public void Gradient(double norm, int step)
    {
        if (!double.IsFinite(norm)) Tell("number", $"the gradient of step {step} is {norm}. {Usual}");
        dead = norm == 0 ? dead + 1 : 0;
        if (dead == DeadUpdates)
            Tell("dead", $"the gradient has been exactly 0 for {DeadUpdates} steps up to step {step}: nothing is learnt. Look at network.dropout, network.module_dropout and the learning rates.");
    }

    private void Tell(string kind, FormattableString what)
    {
        if (told.Add(kind)) tell(what.ToString(CultureInfo.InvariantCulture));
    }
}
