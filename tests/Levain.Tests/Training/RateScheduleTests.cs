using System.Globalization;
using System.Text.Json;
using Levain.Core;
using Levain.Training;
using Levain.Training.Kohya;
using Levain.Training.Settings;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Training;

/// <summary>Every recorded curve of learning rates, 1e-9 relative (1e-18 near zero).</summary>
public sealed class RateScheduleTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData("schedules.json")]
    [InlineData("two_processes.json")]
    public void Recorded_curves_are_followed_and_refusals_are_told(string file)
    {
        var (followed, refused) = (0, 0);
        foreach (var row in Golden.Json("schedules", file).EnumerateArray())
        {
            var processes = row.TryGetProperty("processes", out var count) ? count.GetInt32() : 1;
            var (args, total) = (row.GetProperty("args"), row.GetProperty("total").GetInt32() * processes);
            var rates = row.GetProperty("lrs").EnumerateArray().Select(rate => rate.GetDouble()).ToList();
            var (settings, problems) = Read(args, rates[0], steps: total);
            if (row.TryGetProperty("error", out _))
            {
                Assert.True(problems.Any, $"{args} should be refused.");
                output.WriteLine($"{args}: {string.Join(" ", problems.All)}");
                refused++;
                continue;
            }
            Assert.False(problems.Any, $"{args}: {string.Join(" ", problems.All)}");
            var (curve, step) = (new RateCurve(settings.Schedule, total, rates[0]), 0);
            foreach (var expected in row.GetProperty("rates").EnumerateArray())
            {
                var numbers = expected.ValueKind == JsonValueKind.Array ? expected.EnumerateArray().Select(rate => rate.GetDouble()).ToList() : [expected.GetDouble()];
                for (var group = 0; group < numbers.Count; group++)
                {
                    var found = curve.Rate(step, rates[group]);
                    Assert.True(Math.Abs(found - numbers[group]) <= Math.Max(1e-18, 1e-9 * Math.Abs(numbers[group])), $"{args}, step {step}: {found:R}, expected {numbers[group]:R}.");
                }
                step++;
            }
            followed++;
        }
        output.WriteLine($"{file}: {followed} curves followed, {refused} refused as kohya does.");
        Assert.NotEqual(0, followed);
    }

    [Fact]
    public void AdaFactor_tells_the_rates_it_makes()
    {
        foreach (var row in Golden.Json("schedules", "adafactor_logged.json").EnumerateArray())
        {
            using var scope = NewDisposeScope();
            using var frozen = no_grad();
            const double rate = 1e-3;
            var (settings, problems) = Read(row.GetProperty("args"), rate, "AdaFactor");
            Assert.False(problems.Any, $"{row.GetProperty("args")}: {string.Join(" ", problems.All)}");
            Assert.False(settings.Optimizer.FollowsSchedule);
            var tensors = new[] { new TrainedTensor(0, [2, 2]), new TrainedTensor(4, [2, 2]) };
            var (values, gradients) = (full(8, 0.1), full(8, 0.01));
            using var rule = settings.Optimizer.Options.Create(new(values, gradients, [.. tensors.Select(tensor => new TrainedGroup(rate, [tensor]))], rate));
            var step = 0;
            foreach (var logged in row.GetProperty("logged").EnumerateArray())
            {
                // fp32: roots of means of squares.
                for (var group = 0; group < 2; group++) Assert.Equal(logged[group].GetDouble(), rule.OwnRates![group], 1e-6 * logged[group].GetDouble());
                step++;
                gradients.fill_(0.01);
                rule.Step([.. tensors.Select((tensor, i) => new GroupStep(i, rate, [new([tensor], step)]))]);
            }
        }
    }

    [Fact]
    public void A_schedule_free_optimizer_follows_none()
    {
        foreach (var row in Golden.Json("schedules", "schedulefree.json") is { ValueKind: JsonValueKind.Array } list ? list.EnumerateArray().ToList() : [Golden.Json("schedules", "schedulefree.json")])
        {
            var rates = row.GetProperty("rates").EnumerateArray().Select(rate => rate.GetDouble()).ToList();
            var (settings, problems) = Read(row.GetProperty("args"), rates[0], row.GetProperty("optimizer").GetString()!);
            Assert.Empty(problems.All);
            Assert.False(settings.Optimizer.FollowsSchedule);
            Assert.All(rates, rate => Assert.Equal(settings.Optimizer.LearningRate, rate));
        }
    }

    [Fact]
    public void The_schedule_advances_once_for_every_update_and_an_epoch_ends_one()
    {
        foreach (var run in Golden.Json("schedules", "accumulation.json").EnumerateArray())
        {
            var (batches, accumulation) = (run.GetProperty("batches_per_epoch").GetInt32(), run.GetProperty("accumulation").GetInt32());
            var options = new RateOptions { Total = run.GetProperty("total").GetInt32(), Warmup = 3 };
            var (updates, micro) = (0, 0);
            foreach (var row in run.GetProperty("rows").EnumerateArray())
            {
                var updated = Accumulation.Updates(micro++ % batches, batches, accumulation);
                Assert.Equal(row.GetProperty("stepped").GetBoolean(), updated);
                if (updated) updates++;
                Assert.Equal(row.GetProperty("lr_after").GetDouble(), 1e-3 * RateSchedules.HalfCosine.Factor(updates, options), 12);
            }
        }
    }

    [Fact]
    public void Factors_stay_between_0_and_1()
    {
        foreach (var schedule in RateSchedules.All)
            for (var step = 0; step < 120; step++)
                Assert.InRange(schedule.Factor(step, new() { Total = 100, Warmup = 10, Decay = 20, MinRatio = 0.1, Pieces = [(1, 50)], LastPiece = 0.1 }), 0, 1);
    }

    [Fact]
    public void Torch_schedules_move_the_momentum_against_the_rate()
    {
        var cycle = new OneCycleLrOptions { MaxLr = 1e-3, TotalSteps = 100 };
        Assert.Equal(0.95, cycle.Momentum(0)!.Value, 12);
        Assert.Equal(0.85, cycle.Momentum(29)!.Value, 12);
        Assert.Equal(0.95, cycle.Momentum(99)!.Value, 12);
        var byEpochs = new OneCycleLrOptions { MaxLr = 1e-3, Epochs = 4, StepsPerEpoch = 25 };
        Assert.Equal((100, cycle.Rate(50, 1)), (byEpochs.Steps, byEpochs.Rate(50, 1)));
        Assert.Equal(0.8, new CyclicLrOptions { BaseLr = 0, MaxLr = 1, StepSizeUp = 10 }.Momentum(10)!.Value, 12);
    }

    // Settings as a command line gives them, and what is wrong with the optimizer and the schedule.
    private static (RunSettings Settings, Problems Problems) Read(JsonElement args, double rate, string optimizer = "AdamW", int? steps = null)
    {
        static string text(JsonElement value) => value.ValueKind == JsonValueKind.String ? value.GetString()! : value.GetRawText();
        var words = args.EnumerateObject().SelectMany(pair => pair.Value.ValueKind == JsonValueKind.Array
            ? pair.Value.EnumerateArray().Select(text).Prepend("--" + pair.Name) : ["--" + pair.Name, text(pair.Value)]);
        var (settings, all) = KohyaArguments.Read(["--optimizer_type", optimizer, "--learning_rate", rate.ToString("R", CultureInfo.InvariantCulture), .. words]);
        var problems = new Problems();
        foreach (var problem in all.All.Where(problem => problem.Where.Contains("lr_") || problem.Where.Contains("optimizer"))) problems.Add(problem.Where, problem.What, problem.Fix);
        settings.Optimizer.Check(problems);
        if (settings.Optimizer.FollowsSchedule) settings.Schedule.Check(problems, rate, steps);
        return (settings, problems);
    }
}
