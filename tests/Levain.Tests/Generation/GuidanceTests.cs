using System.Text.Json;
using Levain.Diffusion;
using Levain.Generation;
using Levain.Tests.Diffusion;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Generation;

public sealed class GuidanceTests(ITestOutputHelper output)
{
    private const int CharactersAChunk = 20, Rows = 77, DefaultScale = 7;
    private const double DefaultDenoise = 0.75;

    private static readonly ModelSigmas Model = new(NoiseSchedule.Sd1ForSampling());
    private static readonly Mixture Mixture = new("sampling", Model.Schedule.Sigmas);

    [Fact]
    public void Pictures_are_guided_as_the_webui_guides_them()
    {
        var golden = new GoldenTensors("sampling", "cfg.safetensors");
        var run = 0;
        foreach (var row in Golden.Json("sampling", "cfg.json").GetProperty("cases").EnumerateArray())
        {
            Draw(row, golden);
            run++;
        }
        output.WriteLine($"{run} run");
        Assert.True(run > 0);
    }

    [Fact]
    public void The_negative_prompt_is_not_computed_where_it_cannot_matter()
    {
        using var scope = NewDisposeScope();
        var rows = new List<long>();
        GuidedModel Guided(double scale, GuidanceOptions options) => new((x, _, _) =>
        {
            rows.Add(x.shape[0]);
            return x.clone();
        }, Model, false, new([[new(1, [(20, zeros(1, Rows, 3))])]], new(1, [(20, zeros(1, Rows, 3))]), scale, options, 20));
        var x = Synth.Input("x", 1, 4, 8, 8);

        Guided(7, new()).Denoise(Samplers.Euler)(x, 5);
        Guided(1, new()).Denoise(Samplers.Euler)(x, 5);
        Guided(7, new() { NegativeMinSigma = 6, NegativeMinSigmaAlways = true }).Denoise(Samplers.Euler)(x, 5);
        var every = Guided(7, new() { NegativeMinSigma = 6 }).Denoise(Samplers.Euler);
        every(x, 5);
        every(x, 5);
        Assert.Equal([2, 1, 1, 2, 1], rows);
    }

    private static void Draw(JsonElement row, GoldenTensors golden)
    {
        using var scope = NewDisposeScope();
        var key = row.GetProperty("key").GetString()!;
        var sampler = SamplerChoice.Parse(row.GetProperty("sampler").GetString()!).Sampler;
        var set = row.TryGetProperty("options", out var found) ? found : default;
        var (steps, total) = (row.GetProperty("steps").GetInt32(), row.GetProperty("total_steps").GetInt32());
        int? hires = row.TryGetProperty("hires_steps", out var second) ? second.GetInt32() : null;
        var denoise = row.TryGetProperty("denoising_strength", out var strength) ? strength.GetDouble() : DefaultDenoise;
        var fromPicture = row.TryGetProperty("img2img", out var img2img) && img2img.GetBoolean();
        var plan = fromPicture
            ? SamplingPlan.ForPicture(sampler, Img2ImgSteps.For(hires ?? steps, denoise, exactly: hires is not null), Model, new())
            : SamplingPlan.For(sampler, steps, Model, new());

        var prompts = row.GetProperty("prompts").EnumerateArray().Select(prompt => prompt.GetString()!).ToList();
        var batch = prompts.Count;
        var v = row.TryGetProperty("v", out var predictsV) && predictsV.GetBoolean();
        var times = new List<double>();
        var guidance = new Guidance(
            [.. prompts.Select(prompt => (IReadOnlyList<ConditioningPart>)[.. PromptParts.Of(prompt).Select(part => Part(part.Text, part.Weight, total, hires))])],
            Part(row.GetProperty("negative").GetString()!, 1, total, hires),
            row.TryGetProperty("cfg_scale", out var scale) ? scale.GetDouble() : DefaultScale,
            new()
            {
                NegativeMinSigma = row.TryGetProperty("s_min_uncond", out var least) ? least.GetDouble() : 0,
                NegativeMinSigmaAlways = Sets(set, "s_min_uncond_all"),
                SkipEarly = set.ValueKind == JsonValueKind.Object && set.TryGetProperty("skip_early_cond", out var early) ? early.GetDouble() : 0,
                Padding = Sets(set, "pad_cond_uncond") ? ConditioningPadding.Empty : Sets(set, "pad_cond_uncond_v0") ? ConditioningPadding.RepeatLast : ConditioningPadding.None,
                WholeTimesteps = Sets(set, "enable_quantization"),
                Apart = set.ValueKind == JsonValueKind.Object && set.TryGetProperty("batch_cond_uncond", out var together) && !together.GetBoolean(),
            },
            total)
        { Empty = States("") };
        var mask = row.TryGetProperty("mask", out var masked) && masked.GetBoolean() ? new LatentMask(Kept(), Synth.Input("sampling.init", batch, 4, 8, 8)) : null;
        var guided = new GuidedModel((x, t, contexts) =>
        {
            var at = t.data<float>().ToArray().Select(time => (double)time).ToArray();
            times.Add(at[0]);
            return Mixture.Predict(x, at, [.. Enumerable.Range(0, at.Length).Select(i => Logits(contexts[i]))], v);
        }, Model, v, guidance)
        { Mask = mask };

        var noises = 0;
        var walk = new SamplerWalk(plan, guided.Denoise(sampler), guided.PredictNoise, (_, _) => Synth.Input($"sampling.noise.{noises++}", batch, 4, 8, 8), new()) { PredictPair = guided.PredictPair };
        var noise = Synth.Input("sampling.x0", batch, 4, 8, 8);
        var start = fromPicture ? Synth.Input("sampling.init", batch, 4, 8, 8) * plan.SignalScale + noise * plan.StartScale : noise * plan.StartScale;
        var result = sampler.Walk(walk, start);

        var expected = golden[$"{key}/final"];
        var excess = ((result - expected).abs() - expected.abs().clamp_min(1) * 1e-5).max().item<float>();
        var rounding = row.TryGetProperty("err64", out var error) ? 10 * error.GetDouble() : 4e-5;       // tests/golden/sampling/README.md
        Assert.True(excess <= rounding, $"{key}: {excess} beyond 1e-5, {rounding} allowed");
        Assert.Equal(row.GetProperty("noise_calls").GetInt32(), noises);
        Assert.True(row.GetProperty("unet_calls").GetInt32() == times.Count, $"{key}: {times.Count} calls");
        // 2e-4 steps: a level's place between timesteps is found from fp32 logarithms; ancestral middles hang on a small difference of squares
        var slack = sampler is { SecondOrder: true, UsesSeedDelta: true } ? 0.5 : 2e-4;
        foreach (var (wanted, asked) in row.GetProperty("unet_t").EnumerateArray().Zip(times)) Assert.True(Math.Abs(wanted.GetDouble() - asked) <= slack + 1e-6 * asked, $"{key}: t {asked} for {wanted}");
    }

    private static ConditioningPart Part(string text, double weight, int steps, int? hiresSteps)
    {
        var schedule = PromptSchedule.Of(text, steps, hiresSteps);
        var states = schedule.Select(entry => States(entry.Text)).ToList();
        var longest = states.Max(state => state.shape[1]);
        return new(weight, [.. schedule.Zip(states, (entry, state) => (entry.EndStep, Filled(state, longest)))]);

        static Tensor Filled(Tensor states, long length) =>
            states.shape[1] == length ? states : cat([states, .. Enumerable.Repeat(States(""), (int)((length - states.shape[1]) / Rows))], 1);
    }

    private static Tensor States(string text)
    {
        var chunks = Math.Max(1, (text.Length + CharactersAChunk - 1) / CharactersAChunk);
        return Synth.Input($"sampling.cond.{text}", Rows * chunks, 3).unsqueeze(0);
    }

    private static double[] Logits(Tensor context) => [.. (context.sum([0L]) / 8).data<float>().ToArray().Select(logit => (double)logit)];

    private static Tensor Kept()
    {
        var keep = new float[64];
        for (var i = 0; i < keep.Length; i++) keep[i] = i / 8 + i % 8 < 7 ? 0.75f : 0;
        return tensor(keep, 1, 8, 8);
    }

    private static bool Sets(JsonElement options, string name) =>
        options.ValueKind == JsonValueKind.Object && options.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.True;
}
