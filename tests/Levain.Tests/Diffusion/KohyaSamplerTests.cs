using System.Text.Json;
using Levain.Diffusion;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Diffusion;

public sealed class KohyaSamplerTests(ITestOutputHelper output)
{
    private const int Rows = 77;

    private static readonly Mixture Mixture = new("sampling", NoiseSchedule.Sd1ForSampling().Sigmas);

    [Fact]
    public void Samplers_walk_as_kohya_s_programs_do()
    {
        var golden = new GoldenTensors("sampling", "kohya.safetensors");
        var (run, refused) = (0, 0);
        foreach (var row in Golden.Json("sampling", "kohya.json").GetProperty("cases").EnumerateArray())
        {
            if (row.TryGetProperty("error", out _))
            {
                // raises there; here there is no sampler of that name
                Assert.Null(KohyaSamplers.Find(row.GetProperty("sampler").GetString()!));
                refused++;
                continue;
            }
            Draw(row, golden);
            run++;
        }
        output.WriteLine($"{run} run, {refused} refused by name");
        Assert.True(run > 0);
    }

    private static void Draw(JsonElement row, GoldenTensors golden)
    {
        using var scope = NewDisposeScope();
        var key = row.GetProperty("key").GetString()!;
        var sampler = KohyaSamplers.Find(row.GetProperty("sampler").GetString()!)!;
        Assert.Equal(row.GetProperty("scheduler").GetString(), sampler.Scheduler);
        var v = row.TryGetProperty("v", out var predictsV) && predictsV.GetBoolean();
        double? scale = row.TryGetProperty("scale", out var guided) ? guided.GetDouble() : null;
        var (asked, states, noises) = (new List<double>(), new List<Tensor>(), 0);
        var walk = new KohyaWalk(
            (x, t) =>
            {
                asked.Add(t);
                if (scale is not { } s) return Mixture.Predict(x, [t], v: v);
                var (u, c) = (Mixture.Predict(x, [t], [Logits("x")], v), Mixture.Predict(x, [t], [Logits("a cat")], v));
                return u + (c - u) * s;
            },
            row.GetProperty("steps").GetInt32(), row.TryGetProperty("ztsnr", out var zero) && zero.GetBoolean() ? NoiseSchedule.Sd1ZeroTerminal() : NoiseSchedule.Sd1(),
            () => Synth.Input($"sampling.noise.{noises++}", 1, 4, 8, 8))
        {
            PredictsV = v,
            GenImg = row.TryGetProperty("mode", out var mode) && mode.GetString() == "gen_img",
            Eta = row.TryGetProperty("eta", out var eta) ? eta.GetDouble() : 0,
            OnStep = step => states.Add(step.X.clone().MoveToOuterDisposeScope().MoveToOuterDisposeScope()),
        };
        var start = sampler.StartScale(walk);
        Assert.Equal(row.GetProperty("init_noise_sigma").GetDouble(), start, 2e-6 * start);
        var result = sampler.Walk(walk, Synth.Input("sampling.x0", 1, 4, 8, 8) * start);

        var times = row.GetProperty("timesteps").EnumerateArray().Select(t => t.GetDouble()).ToArray();
        Assert.True(times.Length == asked.Count, $"{key}: {asked.Count} calls for {times.Length}");
        // 2e-3 steps: places between timesteps come from fp32 logarithms in the reference
        for (var i = 0; i < times.Length; i++) Assert.True(Math.Abs(times[i] - asked[i]) <= 2e-3, $"{key}: t {asked[i]} for {times[i]}");
        Assert.Equal(row.GetProperty("noise_calls").GetInt32(), noises);

        var rounding = 10 * row.GetProperty("err64").GetDouble();
        Near("final", result);
        for (var i = 0; golden.Names.Contains($"{key}/x.{i}"); i++) Near($"x.{i}", states[i]);

        void Near(string name, Tensor actual)
        {
            var expected = golden[$"{key}/{name}"];
            var excess = ((actual - expected).abs() - expected.abs().clamp_min(1) * 1e-5).max().item<float>();
            Assert.True(excess <= rounding, $"{key}/{name}: {excess} beyond 1e-5, {rounding} allowed");
        }
    }

    private static double[] Logits(string text) => [.. (Synth.Input($"sampling.cond.{text}", Rows, 3).sum([0L]) / 8).data<float>().ToArray().Select(logit => (double)logit)];
}
