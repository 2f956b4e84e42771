using Levain.Training;
using Levain.Training.Kohya;
using Levain.Training.Planning;
using Xunit;

namespace Levain.Tests.Training.Kohya;

/// <summary>What kohya makes of options about learning rates that its schedule does not look at, or that make a curve nobody would draw.</summary>
public sealed class KohyaSchedulesTests
{
    [Theory]
    [InlineData("--lr_scheduler cosine --lr_decay_steps 20")]
    [InlineData("--lr_scheduler piecewise_constant --lr_scheduler_args step_rules='1:10,0.1' --lr_warmup_steps 10")]
    [InlineData("--lr_scheduler cosine --lr_scheduler_num_cycles 0 --lr_scheduler_power 0 --lr_scheduler_timescale 0 --lr_scheduler_min_lr_ratio 2")]
    [InlineData("--lr_scheduler_type StepLR --lr_scheduler_args step_size=10 --lr_scheduler nothing --lr_scheduler_num_cycles 0 --lr_decay_steps 3")]
    [InlineData("--optimizer_type AdamWScheduleFree --lr_scheduler nothing --lr_warmup_steps 3")]
    [InlineData("--optimizer_type SGDScheduleFree --lr_scheduler_type NoSuch --lr_scheduler_args a=1")]
    public void What_a_schedule_does_not_look_at_is_not_refused(string words) => Assert.Empty(ShortLine.Read(words).Problems.All);

    [Theory]
    [InlineData("--lr_scheduler inverse_sqrt --lr_scheduler_timescale 0")]
    [InlineData("--lr_scheduler polynomial --lr_scheduler_power -1")]
    [InlineData("--lr_scheduler_type StepLR --lr_scheduler_args step_size=10 --lr_warmup_steps 3")]
    [InlineData("--lr_scheduler nothing")]
    public void What_kohya_refuses_is_refused(string words) => Assert.NotEmpty(ShortLine.Read(words).Problems.All);

    [Theory]
    [InlineData("--lr_scheduler cosine_with_restarts --lr_scheduler_num_cycles 0", 50, 1)]
    [InlineData("--lr_scheduler polynomial --lr_scheduler_power 0", 50, 1)]
    [InlineData("--lr_scheduler cosine_with_min_lr --lr_scheduler_min_lr_ratio 2", 50, 1.5)]
    [InlineData("--lr_scheduler warmup_stable_decay --lr_warmup_steps 10", 5, 0.5)]
    [InlineData("--lr_scheduler warmup_stable_decay --lr_warmup_steps 10", 99, 1)]
    [InlineData("--lr_scheduler warmup_stable_decay --lr_warmup_steps 60 --lr_decay_steps 80", 59, 59.0 / 60)]
    [InlineData("--lr_scheduler linear --lr_warmup_steps 150%", 75, 0.5)]
    [InlineData("--lr_scheduler linear --lr_warmup_steps 100%", 75, 0.75)]
    public void Odd_numbers_make_kohyas_curve(string words, int step, double factor)
    {
        var (settings, problems) = ShortLine.Read(words);
        Assert.Empty(problems.All);
        Assert.Equal(factor, new RateCurve(settings.Schedule, 100, 1).Rate(step, 1), 12);
    }

    [Fact]
    public void What_was_written_is_kept_for_the_metadata()
    {
        var kohya = ShortLine.Read("--optimizer_type AdamWScheduleFree --lr_scheduler nothing --lr_warmup_steps 0").Settings.Kohya!;
        Assert.Equal(("nothing", "0.0"), (kohya.Scheduler, kohya.WarmupSteps));
        Assert.Equal("1.5", ShortLine.Read("--lr_scheduler linear --lr_warmup_steps 150%").Settings.Kohya!.WarmupSteps);
    }

    // A file's numbers do not pass through argparse: 0 stays whole, and what has a point is a share.
    [Theory]
    [InlineData("0", "0", 0)]
    [InlineData("0.0", "0.0", 0)]
    [InlineData("10", "10", 10)]
    [InlineData("0.1", "0.1", 10)]
    [InlineData("1.0", "1.0", 100)]
    public void Warm_ups_of_a_config_file_are_taken_as_they_are(string written, string recorded, int steps)
    {
        var (settings, problems) = KohyaArguments.Read(["--config_file", "c.toml"], read: _ => $"lr_scheduler = \"linear\"\nlr_warmup_steps = {written}\n");
        Assert.DoesNotContain(problems.All, problem => problem.Where.Contains("warmup"));
        Assert.Equal(recorded, settings.Kohya!.WarmupSteps);
        Assert.Equal(steps, settings.Schedule.Warmup.Resolve(100));
    }

    [Theory]
    [InlineData("--fused_backward_pass", false)]
    [InlineData("--fused_backward_pass --optimizer_type AdamW8bit", false)]
    [InlineData("--fused_backward_pass --optimizer_type Adafactor", true)]
    [InlineData("--fused_backward_pass --optimizer_type Adafactor --gradient_accumulation_steps 2", false)]
    public void A_fused_backward_pass_is_for_adafactor(string words, bool accepted) => Assert.Equal(accepted, !ShortLine.Read(words).Problems.Any);

    // accelerate counts every batch: of 7 batches an epoch, two an update, the 10th is that of update 5.
    [Fact]
    public void A_one_cycle_stands_still_when_batches_have_used_up_its_steps()
    {
        var length = new RunLength(7, 4, 40, 10);
        Assert.Equal(5, length.StepsWithin(10, 2));
        Assert.Equal(10, new RunLength(7, 7, 40, 6).StepsWithin(10, 1));
        var schedule = ShortLine.Read("--lr_scheduler_type OneCycleLR --lr_scheduler_args max_lr=1e-3 total_steps=10").Settings.Schedule;
        var (free, stopped) = (new RateCurve(schedule, 40, 1), new RateCurve(schedule, 40, 1, length.StepsWithin(10, 2)));
        Assert.Equal(free.Rate(4, 1), stopped.Rate(4, 1));
        Assert.Equal((free.Rate(5, 1), free.Momentum(5)), (stopped.Rate(9, 1), stopped.Momentum(9)));
    }
}
