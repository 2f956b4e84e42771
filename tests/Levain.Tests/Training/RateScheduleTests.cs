using System.Globalization;
using System.Text.Json;
using Levain.Core;
using Levain.Training;
using Levain.Training.Settings;
using Xunit;

namespace Levain.Tests.Training;

/// <summary>Every recorded curve of learning rates, 1e-9 relative (1e-18 near zero).</summary>
public sealed class RateScheduleTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData("schedules.json")]
    [InlineData("two_processes.json")]
    public void Recorded_curves_are_followed_and_refusals_are_told(string file)
    {
        var (followed, refused, lacking) = (0, 0, new List<string>());
        foreach (var row in Golden.Json("schedules", file).EnumerateArray())
        {
            var processes = row.TryGetProperty("processes", out var count) ? count.GetInt32() : 1;
            var rates = row.GetProperty("lrs").EnumerateArray().Select(rate => rate.GetDouble()).ToList();
            var args = row.GetProperty("args");
            var name = args.TryGetProperty("lr_scheduler_type", out var type) ? type.GetString()! : args.GetProperty("lr_scheduler").GetString()!;
            var schedule = RateSchedules.Named(name);
            var problems = new Problems();
            var options = schedule is null ? null : Options(args, row.GetProperty("total").GetInt32() * processes, rates[0], problems);
            if (schedule is not null) schedule.Check(options!, problems);

            if (row.TryGetProperty("error", out _))
            {
                Assert.True(schedule is null || problems.Any, $"{args} should be refused.");
                refused++;
                continue;
            }
            if (schedule is null)
            {
                lacking.Add(name);
                continue;
            }
            Assert.False(problems.Any, $"{args}: {string.Join(" ", problems.All)}");
            var step = 0;
            foreach (var expected in row.GetProperty("rates").EnumerateArray())
            {
                var factor = schedule.Factor(step++, options!);
                var numbers = expected.ValueKind == JsonValueKind.Array ? expected.EnumerateArray().Select(rate => rate.GetDouble()).ToList() : [expected.GetDouble()];
                for (var group = 0; group < numbers.Count; group++)
                    Assert.True(Math.Abs(rates[group] * factor - numbers[group]) <= Math.Max(1e-18, 1e-9 * Math.Abs(numbers[group])),
                        $"{args}, step {step - 1}: {rates[group] * factor:R}, expected {numbers[group]:R}.");
            }
            followed++;
        }
        output.WriteLine($"{file}: {followed} curves followed, {refused} refused as kohya does, {lacking.Count} of schedules this version lacks ({string.Join(", ", lacking.Distinct())}).");
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

    private static RateOptions Options(JsonElement args, int total, double rate, Problems problems)
    {
        int length(string name) => !args.TryGetProperty(name, out var value) ? 0
            : value.GetDouble() < 1 ? (int)(value.GetDouble() * total) : value.GetInt32();
        double? number(string name) => args.TryGetProperty(name, out var value) ? value.GetDouble() : null;
        var name = args.GetProperty("lr_scheduler").GetString();
        var cycles = number("lr_scheduler_num_cycles");
        // kohya hands these two half of its number, so that they run whole halves.
        if (name is "cosine_with_min_lr" or "warmup_stable_decay") cycles = (cycles ?? 1) / 2;
        var options = new RateOptions
        {
            Total = total,
            Rate = rate,
            Warmup = length("lr_warmup_steps"),
            Decay = length("lr_decay_steps"),
            Cycles = cycles,
            Power = number("lr_scheduler_power") ?? 1,
            Timescale = (int?)number("lr_scheduler_timescale"),
            MinRatio = number("lr_scheduler_min_lr_ratio"),
        };
        if (!args.TryGetProperty("lr_scheduler_args", out var extra)) return options;
        foreach (var pair in extra.EnumerateArray().Select(item => item.GetString()!.Split('=', 2)))
        {
            var text = pair[1].Trim('\'', '"');
            options = pair[0] switch
            {
                "step_rules" when PiecewiseRules.Parse(text) is { } rules => options with { Pieces = rules.Pieces, LastPiece = rules.Last },
                "lr_end" => options with { End = double.Parse(text, CultureInfo.InvariantCulture) },
                "num_cycles" when name == "cosine" => options with { Cycles = double.Parse(text, CultureInfo.InvariantCulture) },
                "decay_type" => options with { DecayShape = Shape(text) },
                "warmup_type" => options with { WarmupShape = Shape(text) },
                _ => options,
            };
            problems.Require(pair[0] != "num_cycles" || name == "cosine", "num_cycles", "is given twice.", "Leave one out.");
        }
        return options;
    }

    private static RateShape Shape(string name) => name switch { "linear" => RateShape.Linear, "cosine" => RateShape.Cosine, _ => RateShape.OneMinusRoot };
}
