using System.Text.Json;
using Levain.Diffusion;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Diffusion;

public sealed class SamplerTests(ITestOutputHelper output)
{
    private static readonly ModelSigmas Model = new(NoiseSchedule.Sd1ForSampling());
    private static readonly Mixture Mixture = new("sampling", Model.Schedule.Sigmas);

    [Fact]
    public void Schedules_have_the_webui_s_levels()
    {
        var (run, refused) = (0, 0);
        foreach (var row in Golden.Json("sampling", "sigmas.json").GetProperty("cases").EnumerateArray())
        {
            var options = row.TryGetProperty("options", out var set) ? set : default;
            if (Known(row.GetProperty("sampler").GetString()!) is not { } sampler || Sets(options, "use_old_karras_scheduler_sigmas"))
            {
                refused++;
                continue;
            }
            var plan = SamplingPlan.For(sampler, row.GetProperty("steps").GetInt32(), Model, Options(row, options));
            var expected = row.GetProperty("sigmas").EnumerateArray().Select(sigma => sigma.GetDouble()).ToArray();
            Assert.Equal(expected.Length, plan.Sigmas.Count);
            // 1e-6 relative, 2e-6 for kl_optimal and beta: tests/golden/sampling/README.md; quietest levels of small steps cancel
            for (var i = 0; i < expected.Length; i++)
                Assert.True(Math.Abs(plan.Sigmas[i] - expected[i]) <= 2e-6 * expected[i], $"{row}: [{i}] {plan.Sigmas[i]:R}");
            run++;
        }
        output.WriteLine($"{run} run, {refused} refused");
        Assert.True(run > 0);
    }

    [Fact]
    public void Levels_and_timesteps_translate_as_k_diffusion_has_them()
    {
        var golden = Golden.Json("sampling", "sigma_t.json");
        foreach (var pair in golden.GetProperty("t_to_sigma").EnumerateArray()) Assert.Equal(pair[1].GetDouble(), Model.SigmaOf(pair[0].GetDouble()), 1e-6 * pair[1].GetDouble());
        foreach (var pair in golden.GetProperty("sigma_to_t").EnumerateArray()) Assert.Equal(pair[1].GetDouble(), Model.TimestepOf(pair[0].GetDouble()), 2e-4);      // fp32 logs: 1e-7 of 999 steps
        foreach (var pair in golden.GetProperty("sigma_to_t_quantized").EnumerateArray()) Assert.Equal(pair[1].GetInt32(), Model.NearestTimestepOf(pair[0].GetDouble()));
    }

    [Theory]
    [InlineData("samplers")]
    [InlineData("samplers_t")]
    [InlineData("forge_samplers")]
    public void Samplers_walk_as_the_reference_walks(string file)
    {
        using var scope = NewDisposeScope();
        var golden = new GoldenTensors("sampling", $"{file}.safetensors");
        var (run, refused) = (0, new SortedSet<string>());
        var refusedCases = 0;
        foreach (var row in Golden.Json("sampling", $"{file}.json").GetProperty("cases").EnumerateArray())
        {
            var name = row.GetProperty("sampler").GetString()!;
            if (Known(name) is not { } sampler)
            {
                refused.Add(name);
                refusedCases++;
                continue;
            }
            Walk(sampler, row, golden);
            run++;
        }
        output.WriteLine($"{file}: {run} run, {refusedCases} refused by name ({string.Join(", ", refused)})");
    }

    [Fact]
    public void Every_sampler_finds_the_picture_of_a_perfect_denoiser()
    {
        foreach (var sampler in Samplers.All)
        {
            using var scope = NewDisposeScope();
            var clean = Synth.Input("clean", 1, 4, 8, 8);
            var plan = SamplingPlan.For(sampler, 20, Model, new());
            var walk = new SamplerWalk((_, _) => clean.alias(), (x, t) => NoiseIn(x, t, clean), (_, _) => Synth.Input("fresh", 1, 4, 8, 8), plan.Sigmas, plan.Timesteps, Model.Schedule, new());
            var found = sampler.Walk(walk, Synth.Input("start", 1, 4, 8, 8) * plan.StartScale);
            if (!sampler.WalksTimesteps) Assert.True((found - clean).abs().max().item<float>() < 1e-4, sampler.Name);
            else Assert.True((found - clean).abs().max().item<float>() < 0.15, sampler.Name);        // ends at timestep 1, where 4 % of noise is left
        }

        static Tensor NoiseIn(Tensor x, double t, Tensor clean)
        {
            double alpha = Model.Schedule.AlphasCumprod[(int)t];
            return (x - clean * Math.Sqrt(alpha)) / Math.Sqrt(1 - alpha);
        }
    }

    [Fact]
    public void An_unknown_sampler_is_told_with_its_neighbours()
    {
        var refusal = Assert.Throws<Levain.Core.SettingsException>(() => SamplerChoice.Parse("Eular a"));
        Assert.Contains("'Eular a'", refusal.Message);
        Assert.Contains("Did you mean 'Euler a'", refusal.Message);
    }

    [Theory]
    [InlineData("Euler a", "Euler a", null)]
    [InlineData("euler_a", "Euler a", null)]
    [InlineData("k_euler_ancestral", "Euler a", null)]
    [InlineData("dpmpp_2m_karras", "DPM++ 2M", "Karras")]
    [InlineData("DPM++ 2M Karras", "DPM++ 2M", "Karras")]
    [InlineData("Euler a SGM Uniform", "Euler a", "SGM Uniform")]
    [InlineData("ddim", "DDIM", null)]
    public void Names_are_understood_in_every_spelling(string text, string sampler, string? schedule)
    {
        var choice = SamplerChoice.Parse(text);
        Assert.Equal((sampler, schedule), (choice.Sampler.Name, choice.Schedule?.Name));
    }

    private void Walk(Sampler sampler, JsonElement row, GoldenTensors golden)
    {
        using var scope = NewDisposeScope();
        var key = row.GetProperty("key").GetString()!;
        var set = row.TryGetProperty("options", out var found) ? found : default;
        var plan = SamplingPlan.For(sampler, row.GetProperty("steps").GetInt32(), Model, Options(row, set));
        if (row.TryGetProperty("timesteps", out var times)) Assert.Equal(times.EnumerateArray().Select(t => t.GetInt32()), plan.Timesteps);

        var (noises, levels, steps) = (0, new List<double>(), new List<SamplerStep>());
        var walk = new SamplerWalk(
            (x, sigma) => { levels.Add(sigma); return Mixture.Denoise(x, sigma); },
            (x, t) => { levels.Add(t); return Mixture.Predict(x, [t]); },
            (_, _) => Synth.Input($"sampling.noise.{noises++}", 1, 4, 8, 8),
            plan.Sigmas, plan.Timesteps, Model.Schedule,
            new()
            {
                Eta = row.TryGetProperty("eta", out var eta) ? eta.GetDouble() : null,
                Churn = Number(set, "s_churn") ?? 0,
                ChurnMin = Number(set, "s_tmin") ?? 0,
                ChurnMax = Number(set, "s_tmax") ?? double.PositiveInfinity,
                NoiseScale = Number(set, "s_noise") ?? 1,
            },
            step => steps.Add(new(step.Step, step.X.clone().MoveToOuterDisposeScope().MoveToOuterDisposeScope(), step.Denoised.clone().MoveToOuterDisposeScope().MoveToOuterDisposeScope())));
        var result = sampler.Walk(walk, Synth.Input("sampling.x0", 1, 4, 8, 8) * plan.StartScale);
        if (row.TryGetProperty("error", out _))
        {
            Assert.True(result.isfinite().all().item<bool>(), key);                // the reference raises; here the result is sensible
            return;
        }

        var rounding = row.TryGetProperty("err64", out var err) ? 10 * err.GetDouble() : 4e-5;
        Near($"{key}/final", result);
        for (var i = 0; i < Math.Min(4, steps.Count); i++)
        {
            if (golden.Names.Contains($"{key}/x.{i}")) Near($"{key}/x.{i}", steps[i].X);
            if (golden.Names.Contains($"{key}/den.{i}")) Near($"{key}/den.{i}", steps[i].Denoised);
        }
        if (row.TryGetProperty("callbacks", out var callbacks)) Assert.Equal(callbacks.GetInt32(), steps.Count);
        Assert.Equal(row.GetProperty("noise_calls").GetInt32(), noises);
        var calls = row.GetProperty("model_calls").EnumerateArray().Select(call => call.GetDouble()).ToArray();
        Assert.Equal(calls.Length, levels.Count);
        // 2e-2: the middle level of an ancestral step hangs on a small difference of squares, which the reference takes in fp32
        for (var i = 0; i < calls.Length; i++) Assert.True(Math.Abs(calls[i] - levels[i]) <= (sampler is { SecondOrder: true, UsesSeedDelta: true } ? 2e-2 : 2e-6) * calls[i], $"{key} call {i}: {levels[i]} for {calls[i]}");

        void Near(string name, Tensor actual)
        {
            var expected = golden[name];
            var excess = ((actual - expected).abs() - expected.abs().clamp_min(1) * 1e-5).max().item<float>();
            Assert.True(excess <= rounding, $"{name}: {excess} beyond 1e-5, {rounding} allowed");
        }
    }

    private static Sampler? Known(string name) => Samplers.All.FirstOrDefault(sampler => sampler.Name == name);

    private static ScheduleOptions Options(JsonElement row, JsonElement options) => new()
    {
        Schedule = row.TryGetProperty("scheduler", out var name) && name.GetString() != "Automatic" ? SigmaSchedules.All.Single(schedule => schedule.Name == name.GetString()) : null,
        SigmaMin = Number(options, "sigma_min"),
        SigmaMax = Number(options, "sigma_max"),
        Rho = Number(options, "rho"),
        DiscardPenultimate = Sets(options, "always_discard_next_to_last_sigma"),
        SgmNoise = Sets(options, "sgm_noise_multiplier"),
        BetaA = Number(options, "beta_dist_alpha") ?? 0.6,
        BetaB = Number(options, "beta_dist_beta") ?? 0.6,
        Sdxl = row.TryGetProperty("sdxl", out var sdxl) && sdxl.GetBoolean(),
    };

    // 0 means the default, as in the webui's settings
    private static double? Number(JsonElement options, string name) =>
        options.ValueKind == JsonValueKind.Object && options.TryGetProperty(name, out var number) && number.GetDouble() != 0 ? number.GetDouble() : null;

    private static bool Sets(JsonElement options, string name) =>
        options.ValueKind == JsonValueKind.Object && options.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.True;
}
