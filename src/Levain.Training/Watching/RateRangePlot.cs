using Levain.Core;
using ScottPlot;

namespace Levain.Training.Watching;

/// <summary>A loss at a learning rate.</summary>
/// <param name="Rate">The rate of the U-Net's adapters, or of the first group there is.</param>
public readonly record struct RatePoint(double Rate, double Loss);

/// <summary>Draws what a learning-rate range test found: loss over rate, and the rate at which it falls fastest. Losses of pictures set aside are taken where there are any, since those of single steps are mostly noise.</summary>
/// <remarks>Smith 2015, https://arxiv.org/abs/1506.01186.</remarks>
public sealed class RateRangePlot : IProgress<RunEvent>, IDisposable
{
    private const int Width = 1000, Height = 560;
    private const double RawOpacity = 0.35, Memory = 0.9;
    private readonly string path;
    private readonly List<RatePoint> steps = [], judged = [];

    /// <param name="path">The PNG.</param>
    /// <param name="earlier">Steps and judgements from before a resume; null for a new run.</param>
    public RateRangePlot(string path, IEnumerable<RunEvent>? earlier = null)
    {
        this.path = path;
        foreach (var one in earlier ?? []) Report(one);
    }

    /// <summary>The rate at which the loss falls fastest; null while there is no fall.</summary>
    public double? Suggestion => Steepest(Curve);

    /// <inheritdoc/>
    public void Report(RunEvent value)
    {
        if (value is StepDone step && step.Scalars.Where(scalar => scalar.Key == "lr" || scalar.Key.StartsWith("lr/", StringComparison.Ordinal)).OrderBy(scalar => scalar.Key != "lr/unet").FirstOrDefault() is { Key: not null, Value: > 0 } rate)
            steps.Add(new(rate.Value, step.Loss));
        if (value is Validated one && steps.Count > 0) judged.Add(new(steps[^1].Rate, one.Loss));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (steps.Count < 2) return;
        using var plot = new Plot();
        var (rates, losses) = Columns(steps);
        var noisy = plot.Add.Scatter(rates, losses, Colors.C0.WithAlpha(RawOpacity));
        (noisy.LineWidth, noisy.LegendText) = (0, "loss of a step");
        (rates, losses) = Columns(Curve);
        var calm = plot.Add.ScatterLine(rates, losses, Colors.C1);
        calm.LegendText = judged.Count > 1 ? "loss of pictures set aside" : "smoothed";
        if (Suggestion is { } rate)
        {
            plot.Add.VerticalLine(Math.Log10(rate)).LegendText = $"falls fastest at {rate:0.0e+0}";
            plot.Title($"Learning-rate range test: the loss falls fastest at {rate:0.0e+0}");
        }
        else plot.Title("Learning-rate range test: the loss never falls");
        plot.XLabel("learning rate, power of ten");
        plot.ShowLegend(Alignment.UpperLeft);
        var png = plot.GetImageBytes(Width, Height, ImageFormat.Png);
        AtomicFile.Write(path, stream => stream.Write(png));
    }

    /// <summary>The rate in the middle of the steepest fall before the lowest loss, slopes taken over a tenth of the curve; null where it never falls.</summary>
    public static double? Steepest(IReadOnlyList<RatePoint> curve)
    {
        var lowest = curve.Index().Where(point => double.IsFinite(point.Item.Loss)).OrderBy(point => point.Item.Loss).Select(point => point.Index).FirstOrDefault();
        var reach = Math.Max(1, curve.Count / 10);
        var (best, slope) = (-1, 0.0);
        for (var i = 0; i + reach <= lowest; i++)
        {
            var fall = (curve[i + reach].Loss - curve[i].Loss) / Math.Log(curve[i + reach].Rate / curve[i].Rate);
            if (fall < slope) (best, slope) = (i, fall);
        }
        return best < 0 ? null : Math.Sqrt(curve[best].Rate * curve[best + reach].Rate);
    }

    private static (double[] Rates, double[] Losses) Columns(IReadOnlyList<RatePoint> points) =>
        ([.. points.Select(point => Math.Log10(point.Rate))], [.. points.Select(point => point.Loss)]);

    private IReadOnlyList<RatePoint> Curve
    {
        get
        {
            if (judged.Count > 1) return judged;
            var smoothed = new SmoothedLoss(Memory);
            return [.. steps.Select(point => point with { Loss = smoothed.Next(point.Loss) })];
        }
    }
}
