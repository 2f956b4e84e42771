using Levain.Cli;
using Levain.Core;
using Levain.Tests.Data;
using Levain.Tests.Training;
using Levain.Training.Planning;
using Spectre.Console;
using Xunit;

namespace Levain.Tests.Cli;

public sealed class PlanViewTests
{
    [Theory]
    [InlineData(1, "1 step, 1 epoch of 6 batches", "the text encoder for 1 step")]
    [InlineData(7, "7 steps, 2 epochs of 6 batches", "the text encoder for 7 steps")]
    public void One_step_is_a_step_and_more_are_steps(int steps, string length, string text)
    {
        using var folder = new TemporaryFolder();
        var settings = SmallRun.Settings(folder);
        settings = settings with { Trains = Levain.Training.Settings.Trains.Model, Training = settings.Training with { Steps = steps }, Optimizer = settings.Optimizer with { TextEncoderStop = Levain.Training.Settings.StepsOrShare.Of(steps) } };
        var problems = new Problems();
        var plan = RunPlan.Make(settings, problems, new(7));
        Assert.True(plan is not null, string.Join(Environment.NewLine, problems.All));
        var told = Told(plan);
        Assert.Contains(length, told);
        Assert.Contains($"the whole U-Net, {text}", told.Replace(Environment.NewLine, " "));
        Assert.DoesNotMatch(@"\b1 \w+s\b", told);
    }

    private static string Told(RunPlan plan)
    {
        using var lines = new StringWriter();
        var console = AnsiConsole.Create(new() { Out = new AnsiConsoleOutput(lines), Ansi = AnsiSupport.No });
        console.Profile.Width = 400;
        console.Write(PlanView.Table(plan, floor: null));
        return lines.ToString();
    }
}
