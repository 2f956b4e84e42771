using System.Text.Json;
using Levain.Core;
using Levain.Formats;
using Levain.Training;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Training.Optimization;

/// <summary>60 steps on a few small tensors for every recorded optimizer; the tolerances are those of the recordings' README.</summary>
public sealed class TrajectoryTests(ITestOutputHelper output)
{
    private const double Near = 1e-6;

    private const int Steps = 60;

    [Fact]
    public void Recorded_trajectories_are_followed()
    {
        var (followed, refused) = (0, new List<string>());
        foreach (var row in Golden.Json("optimizers", "cases.json").EnumerateArray())
        {
            var problems = new Problems();
            if (RecordedTrajectory.Read(row, problems) is not var (optimizer, options))
            {
                refused.Add($"{row.GetProperty("name")}: {string.Join(" ", problems.All)}");
                continue;
            }
            Follow(row, optimizer, options);
            followed++;
        }
        output.WriteLine($"{followed} trajectories followed, {refused.Count} refused by name:");
        foreach (var line in refused) output.WriteLine(line);
        Assert.NotEqual(0, followed);
    }

    // What finds its step length itself amplifies rounding: in double it is followed to 1e-9 (step length) and 1e-8 (parameters).
    [Fact]
    public void Recorded_trajectories_in_double_are_followed_closely()
    {
        var followed = 0;
        foreach (var row in Golden.Json("optimizers", "cases.json").EnumerateArray())
        {
            var name = row.GetProperty("name").GetString()!;
            if (!File.Exists(Golden.Path("optimizers", name + ".fp64.safetensors")) || RecordedTrajectory.Read(row, new()) is not var (optimizer, options)) continue;
            using var scope = NewDisposeScope();
            using var frozen = no_grad();
            using var walk = new RecordedTrajectory(row, optimizer, options, ScalarType.Float64);
            using var recorded = TensorFile.Open(Golden.Path("optimizers", name + ".fp64.safetensors"));
            for (var step = 1; step <= Steps; step++)
            {
                walk.Step(step);
                var d = row.GetProperty("trace_fp64")[step - 1];
                var expected = (d.ValueKind == JsonValueKind.Array ? d[0] : d).GetDouble();
                Assert.True(Math.Abs(walk.Rule.Distance!.Value - expected) <= 1e-9 * Math.Abs(expected), $"{name}, step {step}: d is {walk.Rule.Distance:R}, expected {expected:R}.");
                foreach (var tensor in walk.Names.Where(tensor => recorded.Entries.ContainsKey($"{tensor}.{step}")))
                {
                    var difference = (recorded.Load($"{tensor}.{step}") - walk.Value(tensor)).abs().max().item<double>();
                    Assert.True(difference <= 1e-8, $"{name}, {tensor} after {step}: off by {difference}.");
                }
            }
            followed++;
        }
        output.WriteLine($"{followed} trajectories followed in double.");
        Assert.NotEqual(0, followed);
    }

    private void Follow(JsonElement row, Optimizer optimizer, OptimizerOptions options)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var name = row.GetProperty("name").GetString()!;
        using var recorded = TensorFile.Open(Golden.Path("optimizers", name + ".safetensors"));
        var repaired = Golden.Path("optimizers", name + "_unpinned_B.safetensors");
        using var instead = File.Exists(repaired) ? TensorFile.Open(repaired) : null;
        using var walk = new RecordedTrajectory(row, optimizer, options);
        var worst = 0.0;
        for (var step = 1; step <= Steps; step++)
        {
            walk.Step(step);
            if (row.TryGetProperty("grad_norm", out var norms) && norms.ValueKind == JsonValueKind.Array)
                Assert.Equal(norms[step - 1].GetDouble(), walk.GradientNorm, 1e-4 * walk.GradientNorm);
            CompareTrace(row, walk, step);
            foreach (var tensor in walk.Names.Where(tensor => recorded.Entries.ContainsKey($"{tensor}.{step}")))
            {
                var file = instead is not null && instead.Entries.ContainsKey($"{tensor}.{step}") ? instead : recorded;
                worst = Math.Max(worst, Compare(row, optimizer, $"{name}, {tensor} after {step}", step, file.Load($"{tensor}.{step}"), walk.Value(tensor)));
            }
            if (walk.Names.Any(tensor => recorded.Entries.ContainsKey($"{tensor}.{step}.eval")))
            {
                var average = walk.Rule.Averaged();
                Assert.NotNull(average);
                foreach (var tensor in walk.Names)
                    worst = Math.Max(worst, Compare(row, optimizer, $"{name}, {tensor} averaged after {step}", step, recorded.Load($"{tensor}.{step}.eval"), walk.Of(tensor, average)));
            }
            if (step == 10) CompareMemory(name, walk, recorded, instead is null ? [] : ["B"]);
        }
        output.WriteLine($"{name}: within {worst:0.0e+0}.");
    }

    private static double Compare(JsonElement row, Optimizer optimizer, string what, int step, Tensor expected, Tensor actual)
    {
        var rate = row.GetProperty("learning_rate").GetDouble();
        var difference = (expected - actual).abs().flatten();
        var (most, count) = (difference.max().item<float>(), difference.numel());
        long off(double tolerance) => (difference > tolerance).sum().item<long>();
        if (optimizer.Name.Contains("8bit"))
        {
            // Codes on an edge may fall either way.
            if (step == 1) Assert.True(most <= Near, $"{what}: off by {most}.");
            else Assert.True(off(1e-4 * rate / 1e-3) <= count / 100, $"{what}: {off(1e-4 * rate / 1e-3)} of {count} are off by up to {most}.");
        }
        else if (optimizer.Name == "Lion")
        {
            // A sign may flip where the mixed momentum is near 0.
            Assert.True(off(Near) <= Math.Ceiling(count / 1000.0) && most <= Near + 2 * rate, $"{what}: {off(Near)} of {count} are off by up to {most}.");
        }
        else
        {
            var noise = optimizer.Rates is RateUse.Length || step <= 3 ? 0 : row.GetProperty("fp64").GetProperty($"{step}").GetDouble();
            Assert.True(most <= Math.Max(Near, 10 * noise), $"{what}: off by {most}, allowed is {Math.Max(Near, 10 * noise)}.");
        }
        return most;
    }

    private static void CompareTrace(JsonElement row, RecordedTrajectory walk, int step)
    {
        var expected = row.GetProperty("trace")[step - 1];
        for (var group = 0; group < walk.Groups.Count; group++)
        {
            var number = (expected.ValueKind == JsonValueKind.Array ? expected[group] : expected).GetDouble();
            if (walk.Rule.Distance is { } d)
            {
                var exact = row.GetProperty("trace_fp64")[step - 1] is { ValueKind: JsonValueKind.Array } list ? list[group].GetDouble() : row.GetProperty("trace_fp64")[step - 1].GetDouble();
                var tolerance = Math.Max(1e-5, 10 * Math.Abs(number / exact - 1));
                Assert.True(Math.Abs(d / number - 1) <= tolerance, $"{row.GetProperty("name")}, step {step}: d is {d:R}, expected {number:R}, allowed {tolerance:0.0e+0}.");
            }
            else if (walk.Rule.OwnRates is { } rates)
                Assert.True(Math.Abs(rates[group] - number) <= 1e-5 * Math.Abs(number), $"{row.GetProperty("name")}, step {step}: the rate is {rates[group]:R}, expected {number:R}.");
        }
    }

    // dadaptation's AdanIP has two names the wrong way round.
    private static string RecordedName(Optimizer optimizer, string slot) => (optimizer.Name, slot) switch
    {
        ("DAdaptAdanIP", "exp_avg_diff") => "exp_avg_sq",
        ("DAdaptAdanIP", "exp_avg_sq") => "exp_avg_diff",
        _ => slot,
    };

    private static void CompareMemory(string name, RecordedTrajectory walk, TensorFile recorded, string[] except)
    {
        var memory = walk.Rule.Memory;
        foreach (var tensor in walk.Names.Except(except))
            foreach (var (slot, flat) in memory.Select(pair => KeyValuePair.Create(RecordedName(walk.Optimizer, pair.Key), pair.Value)))
                if (recorded.Entries.ContainsKey($"state10.{tensor}.{slot}") && flat.numel() == walk.Names.Sum(other => walk.Value(other).numel()))
                {
                    var (expected, found) = (recorded.Load($"state10.{tensor}.{slot}"), walk.Of(tensor, flat));
                    var difference = (expected.flatten() - found.flatten()).abs().max().item<float>();
                    Assert.True(difference <= 1e-5 * Math.Max(0.1, expected.abs().max().item<float>()), $"{name}, {slot} of {tensor}: off by {difference}.");
                }
    }
}
