using Levain.Models;
using Levain.Networks;
using Levain.Tests.Data;
using Levain.Training;
using Levain.Training.Settings;
using Levain.Training.Watching;
using Xunit;

namespace Levain.Tests.Training;

/// <summary>What kohya's trainers do not have; all of it off where nothing is said.</summary>
public sealed class BeyondTests
{
    private static float[] Numbers(Run run, NetworkPart part) =>
        [.. run.Network.Adapters.Where(adapter => adapter.Site.Part == part).SelectMany(adapter => adapter.Parameters).SelectMany(parameter => parameter.Value.detach().flatten().data<float>().ToArray())];

    [Fact]
    public void A_text_encoder_that_stops_is_left_as_it_is_while_the_unet_goes_on()
    {
        using var folder = new TemporaryFolder();
        var settings = SmallRun.Settings(folder);
        (float[] Text, float[] UNet) after(RunSettings settings, bool resume = false, int stopAfter = int.MaxValue)
        {
            (float[], float[]) parts = default;
            SmallRun.Make(settings, resume, stopAfter, run => parts = (Numbers(run, NetworkPart.TextEncoder), Numbers(run, NetworkPart.UNet)));
            return parts;
        }
        RunSettings with(int steps, StepsOrShare? stop) => settings with { Training = settings.Training with { Steps = steps }, Optimizer = settings.Optimizer with { TextEncoderStop = stop } };

        var two = after(with(2, null));
        var four = after(with(4, StepsOrShare.Part(0.5)));
        Assert.Equal(two.Text, four.Text);
        Assert.NotEqual(two.UNet, four.UNet);

        _ = after(with(4, StepsOrShare.Part(0.5)), stopAfter: 3);
        Assert.Equal(four.UNet, after(with(4, StepsOrShare.Part(0.5)), resume: true).UNet);
    }

    [Fact]
    public void The_moving_average_is_what_is_saved_and_survives_a_stop()
    {
        using var folder = new TemporaryFolder();
        var settings = SmallRun.Settings(folder);
        var averaged = settings with { Training = settings.Training with { EmaDecay = 0.5 } };
        float saved() => Norm(Path.Combine(folder.Path, "small.safetensors"));

        var plain = SmallRun.Make(settings);
        var trained = saved();
        Assert.Equal(plain.Values, SmallRun.Make(averaged).Values);
        var average = saved();
        Assert.InRange(average, 0.01f * trained, 0.95f * trained);      // it lags behind a network that grows from zero

        SmallRun.Make(averaged, stopAfter: 2);
        SmallRun.Make(averaged, resume: true);
        Assert.Equal(average, saved());
    }

    [Fact]
    public void What_is_kept_moves_less_and_the_pictures_stay_the_same()
    {
        using var folder = new TemporaryFolder();
        var settings = SmallRun.Settings(folder) with { Loss = new() { KeepPrompt = "cat", KeepWeight = 20, KeepSamples = 4 } };
        var free = SmallRun.Make(SmallRun.Settings(folder));
        var kept = SmallRun.Make(settings);
        Assert.Equal(4, kept.Events.OfType<Preparing>().Count(preparing => preparing.Phase == "asking the base"));
        // The first step sees the same picture, noise and network; only then do they part.
        Assert.Equal(free.Losses.First(), kept.Losses.First());
        Assert.NotEqual(free.Values, kept.Values);
        SmallRun.Make(settings, stopAfter: 2);
        Assert.Equal(kept.Values, SmallRun.Make(settings, resume: true).Values);
    }

    [Theory]
    [InlineData("tlora")]
    [InlineData("dylora")]
    [InlineData("kohya_dylora")]
    public void What_is_kept_is_learnt_alike_where_blocks_are_computed_again(string family)
    {
        using var folder = new TemporaryFolder();
        float[] with(double rate, MemoryPolicy memory) => SmallRun.Make(SmallRun.Settings(folder) with
        {
            Network = new() { Family = family, Rank = 8 },
            Optimizer = new() { Type = "SGDNesterov", LearningRate = rate },
            Loss = new() { KeepPrompt = "cat", KeepSamples = 2 },
            Training = new() { Steps = 1, Seed = 7, Precision = Precision.Fp32, Memory = memory },
        }).Values;
        var (begun, fast, lean) = (with(0, MemoryPolicy.Fast), with(1, MemoryPolicy.Fast), with(1, MemoryPolicy.Lean));
        // The ways differ in rounding only: a thousandth of the largest step.
        Assert.InRange(fast.Zip(lean).Max(pair => Math.Abs(pair.First - pair.Second)), 0, 1e-3 * fast.Zip(begun).Max(pair => Math.Abs(pair.First - pair.Second)));
    }

    [Fact]
    public void A_range_test_rises_evenly_to_the_whole_rate_and_draws_its_plot()
    {
        using var folder = new TemporaryFolder();
        var settings = SmallRun.Settings(folder) with { Schedule = new() { Type = ScheduleType.RangeTest, MinRatio = 1e-3 } };
        var run = SmallRun.Make(settings);
        var rates = run.Events.OfType<StepDone>().Select(step => step.Scalars.Single(scalar => scalar.Key == "lr/unet").Value).ToList();
        Assert.Equal([4e-6, 4e-5, 4e-4, 4e-3], rates.Select(rate => Math.Round(rate, 12)));

        var picture = Path.Combine(folder.Path, "rates.png");
        using (var plot = new RateRangePlot(picture)) foreach (var one in run.Events) plot.Report(one);
        Assert.Equal((1000, 560), PngHeader.Read(picture) is { } png ? (png.Width, png.Height) : default);

        // Stopped after two steps and gone on with, the plot is that of the unbroken run.
        var (log, again) = (Path.Combine(folder.Path, "log.jsonl"), Path.Combine(folder.Path, "again.png"));
        using (var lines = JsonLog.Create(log, TimeProvider.System)) foreach (var one in run.Events.TakeWhile(one => one is not StepDone { Step: 3 })) lines.Report(one);
        using (var plot = new RateRangePlot(again, JsonLog.Earlier(log))) foreach (var one in run.Events.SkipWhile(one => one is not StepDone { Step: 3 })) plot.Report(one);
        Assert.Equal(File.ReadAllBytes(picture), File.ReadAllBytes(again));
    }

    [Fact]
    public void The_rate_of_the_steepest_fall_lies_before_the_lowest_loss()
    {
        // Flat up to 1e-5, down to 1e-4, up again from 1e-3.
        List<RatePoint> curve = [.. Enumerable.Range(0, 41).Select(i => Math.Pow(10, -6 + i * 0.1)).Select(rate => new RatePoint(rate, rate < 1e-5 ? 1 : rate < 1e-4 ? 1 - 0.5 * Math.Log10(rate / 1e-5) : rate < 1e-3 ? 0.5 : 0.5 + Math.Log10(rate / 1e-3)))];
        Assert.InRange(RateRangePlot.Steepest(curve)!.Value, 1e-5, 1e-4);
        Assert.Null(RateRangePlot.Steepest([.. curve.Select(point => point with { Loss = 1 + point.Rate })]));
    }

    private static float Norm(string path)
    {
        using var scope = TorchSharp.torch.NewDisposeScope();
        using var file = Levain.Formats.TensorFile.Open(path);
        return file.Entries.Keys.Where(key => key.EndsWith("lora_up.weight", StringComparison.Ordinal)).Sum(key => file.Load(key).norm().item<float>());
    }
}
