using Levain.Core;
using ScottPlot;

namespace Levain.Training.Watching;

/// <summary>The loss of one step.</summary>
/// <param name="Step">Steps made, from 1.</param>
public readonly record struct LossPoint(int Step, double Loss);

/// <summary>Draws the loss of a run, raw and smoothed, as a PNG whenever a network is saved and at the end.</summary>
public sealed class LossPlot : IProgress<RunEvent>, IDisposable
{
    private const int Width = 1000, Height = 560;
    private const float RawWidth = 1, SmoothedWidth = 2.5f;
    private const double RawOpacity = 0.35;
    private readonly string path;
    private readonly List<LossPoint> points;
    private int drawn;

    /// <param name="path">The PNG.</param>
    /// <param name="earlier">Points from before a resume; null for a new run.</param>
    public LossPlot(string path, IEnumerable<LossPoint>? earlier = null) => (this.path, points) = (path, [.. earlier ?? []]);

    /// <inheritdoc/>
    public void Report(RunEvent value)
    {
        if (value is StepDone step) points.Add(new(step.Step, step.Loss));
        if (value is NetworkSaved) Draw();
    }

    /// <inheritdoc/>
    public void Dispose() => Draw();

    private void Draw()
    {
        if (points.Count == drawn || !points.Exists(point => double.IsFinite(point.Loss))) return;
        drawn = points.Count;
        var smoothed = new SmoothedLoss();
        double[] steps = [.. points.Select(point => (double)point.Step)];
        double[] raw = [.. points.Select(point => point.Loss)];
        double[] smooth = [.. points.Select(point => smoothed.Next(point.Loss))];

        using var plot = new Plot();
        var noisy = plot.Add.ScatterLine(steps, raw, Colors.C0.WithAlpha(RawOpacity));
        (noisy.LineWidth, noisy.LegendText) = (RawWidth, "loss");
        var calm = plot.Add.ScatterLine(steps, smooth, Colors.C1);
        (calm.LineWidth, calm.LegendText) = (SmoothedWidth, "smoothed");
        plot.Title("Loss");
        plot.XLabel("step");
        plot.ShowLegend(Alignment.UpperRight);
        var png = plot.GetImageBytes(Width, Height, ImageFormat.Png);
        AtomicFile.Write(path, stream => stream.Write(png));
    }
}
