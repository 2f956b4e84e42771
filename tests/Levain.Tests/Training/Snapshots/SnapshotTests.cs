using Levain.Core;
using Levain.Tests.Data;
using Levain.Training;
using Levain.Training.Settings;
using Xunit;

namespace Levain.Tests.Training.Snapshots;

public sealed class SnapshotTests
{
    // Two epochs and a half of three steps, the last of each from a single batch; chance wherever a run has any.
    private const int Steps = 8;

    private static RunSettings Settings(TemporaryFolder folder)
    {
        var settings = SmallRun.Settings(folder);
        return settings with
        {
            Dataset = settings.Dataset with { BatchSize = 1, Shared = settings.Dataset.Shared with { FlipAug = true, ShuffleCaption = true, CaptionDropoutRate = 0.3 } },
            Network = settings.Network with { Dropout = 0.1, RankDropout = 0.1, ModuleDropout = 0.2 },
            Noise = settings.Noise with { MultiresIterations = 3, OffsetRandomStrength = true, Offset = 0.1 },
            Training = settings.Training with { Steps = Steps, GradientAccumulation = 4 },
            Snapshots = settings.Snapshots with { EverySteps = 1 },
        };
    }

    private static string Folder(TemporaryFolder folder) => Path.Combine(folder.Path, "small-snapshots");

    [Fact]
    public void A_run_stopped_after_any_step_ends_with_the_unbroken_runs_numbers_and_losses()
    {
        using var folder = new TemporaryFolder();
        var whole = SmallRun.Make(Settings(folder));
        for (var step = 1; step < Steps; step++)
        {
            using var place = new TemporaryFolder();
            var first = SmallRun.Make(Settings(place), stopAfter: step);
            Assert.Equal((step, false), (first.Result.Step, first.Result.Finished));
            var rest = SmallRun.Make(Settings(place), resume: true);
            Assert.Equal(whole.Losses, first.Losses.Concat(rest.Losses));
            Assert.Equal(whole.Values, rest.Values);
            Assert.Equal(whole.Events.OfType<EpochDone>().Select(epoch => epoch.Scalars[0].Value), first.Events.Concat(rest.Events).OfType<EpochDone>().Select(epoch => epoch.Scalars[0].Value));
        }
    }

    [Theory]
    [InlineData("step")]
    [InlineData("newest")]
    public void A_disk_that_fills_up_costs_a_snapshot_and_leaves_the_one_before(string file)
    {
        using var folder = new TemporaryFolder();
        var writes = 0;
        void Write(string path, Action<Stream> content)
        {
            if (!Path.GetFileName(path).StartsWith(file, StringComparison.Ordinal) || ++writes != 3) AtomicFile.Write(path, content);
            else AtomicFile.Write(path, stream => content(new FullStream(stream, room: 9)));
        }
        var run = SmallRun.Make(Settings(folder), write: Write);
        Assert.True(run.Result.Finished);
        var warning = Assert.Single(run.Events.OfType<RunWarned>(), warned => warned.Message.Contains("could not be written"));
        Assert.Contains("step00000002", warning.Message);
        Assert.Empty(Directory.GetFiles(Folder(folder), ".*.tmp"));

        using var again = new TemporaryFolder();
        writes = 0;
        SmallRun.Make(Settings(again), stopAfter: 3, write: Write);
        Assert.Equal(run.Values, SmallRun.Make(Settings(again), resume: true).Values);
    }

    [Fact]
    public void Only_the_newest_snapshots_are_kept()
    {
        using var folder = new TemporaryFolder();
        SmallRun.Make(Settings(folder) with { Snapshots = new() { EverySteps = 1, Keep = 3 } }, stopAfter: 6);
        Assert.Equal(["step00000004", "step00000005", "step00000006"], Directory.GetFiles(Folder(folder), "step*").Select(file => Path.GetFileName(file)![..12]).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_damaged_snapshot_is_told_and_nothing_is_guessed()
    {
        using var folder = new TemporaryFolder();
        SmallRun.Make(Settings(folder), stopAfter: 2);
        var newest = Directory.GetFiles(Folder(folder), "step00000002*").Single();
        using (var file = File.OpenWrite(newest)) file.SetLength(file.Length / 2);
        var failure = Assert.Throws<CheckpointException>(() => SmallRun.Make(Settings(folder), resume: true));
        Assert.Contains(Path.GetFileName(newest), failure.Message);
    }

    [Fact]
    public void What_has_changed_since_is_told_part_by_part()
    {
        using var folder = new TemporaryFolder();
        SmallRun.Make(Settings(folder), stopAfter: 2);
        var settings = Settings(folder);
        var failure = Assert.Throws<RunException>(() => SmallRun.Make(settings with { Network = settings.Network with { Dropout = 0.5 }, Loss = settings.Loss with { MinSnrGamma = 5 } }, resume: true));
        Assert.Contains("network.dropout was 0.1 and is 0.5 now.", failure.Message);
        Assert.Contains("loss.min_snr_gamma was not given and is 5.0 now.", failure.Message);
        Assert.DoesNotContain("noise", failure.Message);
    }

    [Fact]
    public void Logging_and_saving_otherwise_is_not_another_run()
    {
        using var folder = new TemporaryFolder();
        var whole = SmallRun.Make(Settings(folder));
        using var place = new TemporaryFolder();
        SmallRun.Make(Settings(place), stopAfter: 2);
        var settings = Settings(place);
        Assert.Equal(whole.Values, SmallRun.Make(settings with { Output = settings.Output with { SaveEverySteps = 2 }, Log = settings.Log with { Plot = false } }, resume: true).Values);
    }

    /// <summary>Passes bytes on until a disk would be full.</summary>
    private sealed class FullStream(Stream inner, long room) : Stream
    {
        private long left = room;

        public override bool CanRead => false;
        public override bool CanSeek => false;
        public override bool CanWrite => true;
        public override long Length => inner.Length;
        public override long Position { get => inner.Position; set => throw new NotSupportedException("A pipe has no position to set."); }
        public override void Flush() => inner.Flush();
        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException("This stream is written to.");
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException("A pipe has no position to set.");
        public override void SetLength(long value) => inner.SetLength(value);

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            var fits = (int)Math.Min(left, buffer.Length);
            inner.Write(buffer[..fits]);
            if ((left -= fits) == 0) throw new IOException("No space left on device");
        }
    }
}
