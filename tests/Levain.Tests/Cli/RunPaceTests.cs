using Levain.Cli.Watching;
using Xunit;

namespace Levain.Tests.Cli;

public sealed class RunPaceTests
{
    [Fact]
    public void It_tells_epoch_loss_rate_speed_time_left_and_memory()
    {
        var clock = new FixedClock();
        var pace = new RunPace(clock);
        for (var step = 1; step <= 5; step++)
        {
            pace.Add(new(step, 100, 1, 10, 0.25, 0.25, [new("loss/current", 0.25), new("lr/unet", 0.0003)]));
            clock.Now += TimeSpan.FromSeconds(0.5).Ticks;
        }
        Assert.Equal(2, pace.Speed, 9);
        Assert.Equal(TimeSpan.FromSeconds(47.5), pace.Left);
        Assert.Matches(@"^epoch 1/10 · loss 0\.2500 · lr 3\.0e-4 · 2\.00 it/s · 0:47 left · \d+\.\d GB$", pace.ToString());
    }

    [Theory]
    [InlineData(59, "0:59")]
    [InlineData(3723, "1:02:03")]
    [InlineData(90000, "25:00:00")]
    public void Durations_read_as_clocks_do(int seconds, string expected) => Assert.Equal(expected, RunPace.Duration(TimeSpan.FromSeconds(seconds)));

    private sealed class FixedClock : TimeProvider
    {
        public long Now { get; set; } = 1;
        public override long TimestampFrequency => TimeSpan.TicksPerSecond;
        public override long GetTimestamp() => Now;
    }
}
