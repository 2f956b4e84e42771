using Levain.Core;
using ScottPlot;

namespace Levain.Training.Watching;

/// <summary>Draws what a search for block-wise learning rates found: for each block, how much more or less is gained with its rate lowered and raised.</summary>
public static class BlockRatePlot
{
    private const int Width = 1000, Height = 560;
    private const double BarWidth = 0.4, Percent = 100;

    /// <summary>Writes the picture.</summary>
    /// <param name="path">The PNG.</param>
    /// <param name="factor">What rates were multiplied and divided by.</param>
    public static void Write(string path, BlockRateFinding finding, double factor)
    {
        using var plot = new Plot();
        add(FormattableString.Invariant($"rate ÷ {factor}"), -BarWidth / 2, trial => trial.Lowered, Colors.C0);
        add(FormattableString.Invariant($"rate × {factor}"), BarWidth / 2, trial => trial.Raised, Colors.C1);
        plot.Axes.Bottom.SetTicks([.. finding.Trials.Select((_, i) => (double)i)], [.. finding.Trials.Select(trial => trial.Block)]);
        plot.Add.HorizontalLine(0, 1, Colors.Gray);
        plot.Title("Learning rates of single blocks: what the loss of pictures set aside gains");
        plot.YLabel("% of what the steps gain by themselves");
        plot.ShowLegend(Alignment.UpperRight);
        var png = plot.GetImageBytes(Width, Height, ImageFormat.Png);
        AtomicFile.Write(path, stream => stream.Write(png));

        void add(string name, double shift, Func<BlockRateTrial, double> loss, Color color)
        {
            var bars = plot.Add.Bars(finding.Trials.Select((trial, i) => new Bar
            {
                Position = i + shift,
                Value = double.IsFinite(loss(trial)) ? Percent * finding.Gain(loss(trial)) : 0,
                Size = BarWidth,
                FillColor = color,
            }).ToArray());
            bars.LegendText = name;
        }
    }
}
