using System.Text.Json;
using Levain.Diffusion;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Diffusion;

public sealed class SamplerTests(ITestOutputHelper output)
{
    private static readonly ModelSigmas Model = new(NoiseSchedule.Sd1ForSampling());
    private static readonly Mixture Mixture = new("sampling", Model.Schedule.Sigmas);

    [Theory]
    [InlineData("sigmas")]
    [InlineData("forge_sigmas")]
    public void Schedules_have_the_reference_s_levels(string file)
    {
        var (run, refused) = (0, 0);
        foreach (var row in Golden.Json("sampling", $"{file}.json").GetProperty("cases").EnumerateArray())
        {
            var options = row.TryGetProperty("options", out var set) ? set : default;
            var sampler = row.TryGetProperty("sampler", out var name) ? Known(name.GetString()!) : Samplers.Euler;
            if (sampler is null || SigmaSchedules.All.All(schedule => schedule.Name != row.GetProperty("scheduler").GetString()) && row.GetProperty("scheduler").GetString() != "Automatic")
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
        output.WriteLine($"{file}: {run} run, {refused} refused");
        Assert.True(run > 0);
    }

    [Fact]
    public void A_walk_from_a_picture_makes_the_webui_s_share_of_the_steps()
    {
        foreach (var row in Golden.Json("sampling", "img2img_steps.json").GetProperty("cases").EnumerateArray())
        {
            var (steps, denoise) = (row[0].GetInt32(), row[1].GetDouble());
            Assert.Equal(new(row[2].GetInt32(), row[3].GetInt32()), Img2ImgSteps.For(steps, denoise));
            Assert.Equal(new(row[4].GetInt32(), row[5].GetInt32()), Img2ImgSteps.For(steps, denoise, exactly: true));
            Assert.Equal(new(row[6].GetInt32(), row[7].GetInt32()), Img2ImgSteps.For(15, denoise, exactly: true));      // a hires pass of 15 steps
        }
    }

    [Fact]
    public void The_webui_s_names_mean_what_they_mean_there()
    {
        var golden = Golden.Json("sampling", "names.json");
        foreach (var row in golden.GetProperty("cases").EnumerateArray())
        {
            var (sampler, schedule) = WebuiNames.Read(row[0].GetString(), row[1].GetString());
            Assert.Equal((row[2].GetString(), row[3].GetString()), (sampler.Name, schedule));
            (sampler, schedule) = WebuiNames.Read(row[0].GetString(), row[1].GetString(), keepOwn: true);
            Assert.Equal((row[4].GetString(), row[5].GetString()), (sampler.Name, schedule));
        }
        foreach (var row in golden.GetProperty("samplers").EnumerateArray())
        {
            var (sampler, options) = (Known(row.GetProperty("name").GetString()!)!, row.GetProperty("options"));
            Assert.Equal(row.GetProperty("aliases").EnumerateArray().Select(alias => alias.GetString()!), sampler.Aliases);
            Assert.Equal((Sets(options, "second_order"), Sets(options, "brownian_noise"), Sets(options, "uses_ensd"), Sets(options, "discard_next_to_last_sigma")),
                (sampler.SecondOrder, sampler.Brownian, sampler.UsesSeedDelta, sampler.DiscardsPenultimate));
            if (options.TryGetProperty("scheduler", out var own)) Assert.Equal(own.GetString(), WebuiNames.IdOf(sampler.Schedule!));
        }
        Assert.Equal(golden.GetProperty("samplers").EnumerateArray().Select(row => row.GetProperty("name").GetString()!), WebuiNames.SamplersInOrder.Select(sampler => sampler.Name));
        Assert.Equal(golden.GetProperty("schedulers").EnumerateArray().Skip(1).Select(row => row.GetProperty("name").GetString()!), WebuiNames.SchedulesInOrder.Select(WebuiNames.IdOf));
        foreach (var entry in golden.GetProperty("lower_map").EnumerateObject()) Assert.Equal(entry.Value.GetString(), SamplerChoice.Parse(entry.Name).Sampler.Name);
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
    [InlineData("brownian_samplers")]
    [InlineData("img2img")]
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
            Walk(sampler, row, golden, called: file == "forge_samplers");
            run++;
        }
        Assert.True(run > 0);
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
            var walk = new SamplerWalk(plan, (_, _) => clean.alias(), (x, t) => NoiseIn(x, t, clean), (_, _) => Synth.Input("fresh", 1, 4, 8, 8), new())
            {
                PredictPair = (x, t, _) => new(NoiseIn(x, t, clean), NoiseIn(x, t, clean)),
            };
            var found = sampler.Walk(walk, Synth.Input("start", 1, 4, 8, 8) * plan.StartScale);
            if (sampler == Samplers.DpmFast || sampler == Samplers.DpmAdaptive) Assert.True((found - clean).abs().max().item<float>() < 0.1, sampler.Name);      // end at the quietest level, where 3 % of noise is left
            else if (sampler == Samplers.IpndmV) Assert.True((found - clean).abs().max().item<float>() < 0.05, sampler.Name);         // its weights are not quite those of a polynomial
            else if (!sampler.WalksTimesteps) Assert.True((found - clean).abs().max().item<float>() < 1e-4, sampler.Name);
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

    /// <param name="called">Whether the reference's function was called with levels instead of being run by the webui.</param>
    private static void Walk(Sampler sampler, JsonElement row, GoldenTensors golden, bool called)
    {
        using var scope = NewDisposeScope();
        var key = row.GetProperty("key").GetString()!;
        var set = row.TryGetProperty("options", out var found) ? found : default;
        var steps = row.GetProperty("steps").GetInt32();
        var fromPicture = row.TryGetProperty("img2img", out var img2img) && img2img.GetBoolean();
        var share = !fromPicture ? default : row.TryGetProperty("hires_steps", out var hires)
            ? Img2ImgSteps.For(hires.GetInt32(), Double(row, "denoising_strength"), exactly: true)
            : Img2ImgSteps.For(steps, Double(row, "denoising_strength"), Sets(set, "img2img_fix_steps"));
        var plan = fromPicture ? SamplingPlan.ForPicture(sampler, share, Model, Options(row, set)) : SamplingPlan.For(sampler, steps, Model, Options(row, set));
        if (called)
        {
            double[] sigmas = [.. row.GetProperty("sigmas").EnumerateArray().Select(sigma => sigma.GetDouble())];
            plan = plan with { Sigmas = sigmas, StartScale = sigmas[0] };
        }
        if (row.TryGetProperty("timesteps", out var times) && !fromPicture) Assert.Equal(times.EnumerateArray().Select(t => t.GetInt32()), plan.Timesteps);

        var (noises, levels, asked, seen) = (0, new List<double>(), new List<(double From, double To)>(), new List<SamplerStep>());
        PredictNoise predict = (x, t) => { levels.Add(t); return Mixture.Predict(x, [t]); };
        var tree = row.TryGetProperty("brownian_seed", out var seed) ? new BrownianTree(NoiseKind.Cpu, seed.GetInt64(), plan.Span, 4, 8, 8) : null;
        var walk = new SamplerWalk(plan,
            sampler.Denoiser?.Invoke(predict, plan.Model) ?? ((x, sigma) => { levels.Add(sigma); return Mixture.Denoise(x, sigma); }),
            predict,
            (from, to) =>
            {
                asked.Add((from, to));
                return tree is null ? Synth.Input($"sampling.noise.{noises++}", 1, 4, 8, 8) : tree.Noise(from, to).unsqueeze(0);
            },
            new()
            {
                Eta = row.TryGetProperty("eta", out var eta) ? eta.GetDouble() : null,
                Churn = Number(set, "s_churn") ?? 0,
                ChurnMin = Number(set, "s_tmin") ?? 0,
                ChurnMax = Number(set, "s_tmax") ?? double.PositiveInfinity,
                NoiseScale = Number(set, "s_noise") ?? 1,
                MaxOrder = (int?)Number(set, "max_order"),
                UniPc = UniPc(set),
            },
            step => seen.Add(new(step.Step, step.X.clone().MoveToOuterDisposeScope().MoveToOuterDisposeScope(), step.Denoised.clone().MoveToOuterDisposeScope().MoveToOuterDisposeScope())));
        var noise = Synth.Input("sampling.x0", 1, 4, 8, 8);
        var extra = Number(set, "img2img_extra_noise") ?? 0;
        var start = noise * plan.StartScale;
        if (fromPicture) start = (Synth.Input("sampling.init", 1, 4, 8, 8) + noise * extra) * plan.SignalScale + noise * plan.StartScale;
        var result = sampler.Walk(walk, start);
        if (row.TryGetProperty("error", out _))
        {
            Assert.True(result.isfinite().all().item<bool>(), key);                // the reference raises; here the result is sensible
            return;
        }

        var rounding = row.TryGetProperty("err64", out var err) ? 10 * err.GetDouble() : 4e-5;
        Near($"{key}/final", result);
        // Forge's slope samplers hand every callback the latent they began with.
        var tells = sampler != Samplers.Ipndm && sampler != Samplers.IpndmV && sampler != Samplers.Deis;
        for (var i = 0; i < Math.Min(4, seen.Count); i++)
        {
            if (tells && golden.Names.Contains($"{key}/x.{i}")) Near($"{key}/x.{i}", seen[i].X);
            if (golden.Names.Contains($"{key}/den.{i}")) Near($"{key}/den.{i}", seen[i].Denoised);
        }
        if (row.TryGetProperty("callbacks", out var callbacks)) Assert.Equal(callbacks.GetInt32(), seen.Count);
        Assert.Equal(row.GetProperty("noise_calls").GetInt32(), noises);
        var calls = row.GetProperty("model_calls").EnumerateArray().Select(call => call.GetDouble()).ToArray();
        Assert.Equal(calls.Length, levels.Count);
        // 2e-2: the middle level of an ancestral step hangs on a small difference of squares, which the reference takes in fp32.
        // 1e-4: levels of solvers that find their own come from fp32 logarithms in the reference, of the adaptive one from an error measured in fp32.
        var slack = sampler is { SecondOrder: true, UsesSeedDelta: true } ? 2e-2 : sampler == Samplers.DpmAdaptive || sampler == Samplers.DpmFast || sampler == Samplers.UniPc ? 1e-4 : 2e-6;
        for (var i = 0; i < calls.Length; i++) Assert.True(Math.Abs(calls[i] - levels[i]) <= slack * calls[i], $"{key} call {i}: {levels[i]} for {calls[i]}");
        if (row.TryGetProperty("noise_args", out var arguments))
            foreach (var (pair, (from, to)) in arguments.EnumerateArray().Zip(asked))
                Assert.True(Math.Abs(pair[0].GetDouble() - from) <= 2e-6 * from && Math.Abs(pair[1].GetDouble() - to) <= 2e-6 * to, $"{key}: noise from {from} to {to} for {pair}");

        void Near(string name, Tensor actual)
        {
            var expected = golden[name];
            var excess = ((actual - expected).abs() - expected.abs().clamp_min(1) * 1e-5).max().item<float>();
            Assert.True(excess <= rounding, $"{name}: {excess} beyond 1e-5, {rounding} allowed");
        }
    }

    private static UniPcOptions UniPc(JsonElement set) => new()
    {
        Order = (int?)Number(set, "uni_pc_order") ?? 3,
        LowerOrderFinal = !(set.ValueKind == JsonValueKind.Object && set.TryGetProperty("uni_pc_lower_order_final", out var lower)) || lower.GetBoolean(),
        Variant = Text(set, "uni_pc_variant") switch { "bh2" => UniPcVariant.Bh2, "vary_coeff" => UniPcVariant.VaryCoeff, _ => UniPcVariant.Bh1 },
        Spacing = Text(set, "uni_pc_skip_type") switch { "time_quadratic" => UniPcSpacing.TimeQuadratic, "logSNR" => UniPcSpacing.LogSnr, _ => UniPcSpacing.TimeUniform },
    };

    private static double Double(JsonElement row, string name) => row.GetProperty(name).GetDouble();

    private static string? Text(JsonElement options, string name) =>
        options.ValueKind == JsonValueKind.Object && options.TryGetProperty(name, out var value) ? value.GetString() : null;

    private static Sampler? Known(string name) => Samplers.All.FirstOrDefault(sampler => sampler.Name == name);

    private static ScheduleOptions Options(JsonElement row, JsonElement options) => new()
    {
        Schedule = row.TryGetProperty("scheduler", out var name) && name.GetString() != "Automatic" ? SigmaSchedules.All.Single(schedule => schedule.Name == name.GetString()) : null,
        SigmaMin = Number(options, "sigma_min"),
        SigmaMax = Number(options, "sigma_max"),
        Rho = Number(options, "rho"),
        OldKarrasRange = Sets(options, "use_old_karras_scheduler_sigmas"),
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
