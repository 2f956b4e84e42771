using System.Text.Json;
using Levain.Training;
using Levain.Training.Watching;
using Xunit;

namespace Levain.Tests.Training.Watching;

public sealed class LogTests : IDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("levain-logs");

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public void A_resumed_json_log_holds_each_step_once_and_drops_a_line_cut_short()
    {
        var path = Path.Combine(folder.FullName, "run.jsonl");
        using (var log = JsonLog.Create(path, TimeProvider.System))
        {
            for (var step = 1; step <= 4; step++) log.Report(Step(step));
            log.Report(new RunWarned("späte Warnung"));
        }
        File.AppendAllText(path, "{\"event\":\"st");
        using (var log = JsonLog.Resume(path, lastStep: 2, TimeProvider.System))
            for (var step = 3; step <= 4; step++) log.Report(Step(step));
        Assert.Equal([1, 2, 3, 4], File.ReadLines(path).Select(line => JsonDocument.Parse(line).RootElement.GetProperty("step").GetInt32()));
        Assert.Equal([new(1, 1), new(2, 0.5), new(3, 1 / 3.0), new(4, 0.25)], JsonLog.Losses(path));
    }

    [Fact]
    public void Every_event_is_one_line_of_json_and_a_loss_that_is_no_number_is_null()
    {
        RunEvent[] events =
        [
            new Preparing("caching latents", 1, 2), Step(1), new EpochDone(1, [new("loss/epoch_average", 0.1)]), new NetworkSaved("a.safetensors", true),
            new SnapshotSaved("s", 1), new PictureDrawn("p.png", 1), new RunWarned("careful"),
        ];
        foreach (var json in events.Select(value => RunEventJson.ToJson(value, DateTimeOffset.UnixEpoch)))
        {
            Assert.DoesNotContain('\n', json);
            Assert.False(string.IsNullOrEmpty(JsonDocument.Parse(json).RootElement.GetProperty("event").GetString()));
        }
        var broken = RunEventJson.ToJson(Step(1) with { Loss = double.NaN }, DateTimeOffset.UnixEpoch);
        Assert.Equal(JsonValueKind.Null, JsonDocument.Parse(broken).RootElement.GetProperty("loss").ValueKind);
    }

    [Fact]
    public void Values_of_one_step_under_one_tag_become_an_array()
    {
        var accumulated = Step(1) with { Scalars = [new("loss/current", 1), new("lr/unet", 3), new("loss/current", 2)] };
        var scalars = JsonDocument.Parse(RunEventJson.ToJson(accumulated, DateTimeOffset.UnixEpoch)).RootElement.GetProperty("scalars");
        Assert.Equal("""{"loss/current":[1,2],"lr/unet":3}""", scalars.GetRawText());
    }

    [Fact]
    public void The_plot_is_a_png()
    {
        var path = Path.Combine(folder.FullName, "loss.png");
        using (var plot = new LossPlot(path, [new(1, 0.2), new(2, double.NaN)]))
            plot.Report(Step(3));
        Assert.Equal([0x89, (byte)'P', (byte)'N', (byte)'G'], File.ReadAllBytes(path)[..4]);
    }

    [Fact]
    public void The_smoothed_loss_of_a_constant_is_that_constant()
    {
        var smoothed = new SmoothedLoss();
        for (var step = 0; step < 10; step++) Assert.Equal(0.3, smoothed.Next(0.3), 12);
        Assert.Equal(0.3, smoothed.Next(double.NaN), 12);
    }

    private static StepDone Step(int step) => new(step, 4, 1, 1, 1.0 / step, 1, [new("loss/current", 1.0 / step)]);
}
