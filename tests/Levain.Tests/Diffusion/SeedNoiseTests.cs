using System.Text.Json;
using Levain.Diffusion;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Diffusion;

public sealed class SeedNoiseTests
{
    [Fact]
    public void Seeds_give_the_reference_s_numbers()
    {
        foreach (var row in Cases("rng").Where(row => Kind(row) is "torch" or "nv"))
        {
            using var scope = NewDisposeScope();
            var shape = GoldenTensors.Longs(row.GetProperty("shape"));
            using var noise = new SeedNoise(Kind(row) == "nv" ? NoiseKind.Gpu : NoiseKind.Cpu, (long)row.GetProperty("seed").GetUInt64(), shape);
            var first = Numbers(noise.Next());
            Near(row.GetProperty("first"), first, row);
            Near(row.GetProperty("last"), first[^Math.Min(4, first.Length)..], row);
            if (row.TryGetProperty("second_draw", out var second)) Near(second, Numbers(noise.Next()), row);
            if (row.TryGetProperty("offset1", out var third)) Near(third, Numbers(noise.Next()), row);
            if (row.TryGetProperty("offset2", out var fourth)) Near(fourth, Numbers(noise.Next()), row);
        }
    }

    [Fact]
    public void A_picture_s_noise_follows_variation_resizing_and_seed_delta()
    {
        var golden = new GoldenTensors("sampling", "rng.safetensors");
        foreach (var row in Cases("rng").Where(row => Kind(row) == "image_rng"))
        {
            using var scope = NewDisposeScope();
            var seeds = GoldenTensors.Longs(row.GetProperty("seeds"));
            var shape = GoldenTensors.Longs(row.GetProperty("shape"));
            for (var i = 0; i < seeds.Length; i++)
            {
                var strength = row.TryGetProperty("subseed_strength", out var share) ? share.GetDouble() : 0;
                long[] others = row.TryGetProperty("subseeds", out var list) ? GoldenTensors.Longs(list) : [];
                using var noise = new SeedNoise(row.GetProperty("source").GetString() == "NV" ? NoiseKind.Gpu : NoiseKind.Cpu, seeds[i], new()
                {
                    Delta = row.GetProperty("ensd").GetInt64(),
                    Variation = strength > 0 ? new(i < others.Length ? others[i] : 0, strength) : null,
                    ResizeFrom = row.TryGetProperty("seed_resize_from_h", out var height) ? (height.GetInt64() / 8, row.GetProperty("seed_resize_from_w").GetInt64() / 8) : null,
                }, shape);
                for (var draw = 0; draw < 3; draw++)
                {
                    var expected = golden[$"{row.GetProperty("key").GetString()}.{draw}"][i];
                    var off = (noise.Next() - expected).abs().max().item<float>();
                    Assert.True(off <= 2e-6, $"{row}, draw {draw}: off by {off}");        // 1e-6 of the README, and the sphere's sines
                }
            }
        }
    }

    [Fact]
    public void Noises_are_mixed_along_the_sphere_row_by_row()
    {
        using var scope = NewDisposeScope();
        var golden = new GoldenTensors("sampling", "rng.safetensors");
        var (low, high) = (Synth.Input("sampling.slerp.low", 4, 8, 8), Synth.Input("sampling.slerp.high", 4, 8, 8));
        var seen = 0;
        foreach (var name in golden.Names.Where(name => name.StartsWith("slerp.", StringComparison.Ordinal)))
        {
            var parallel = name.StartsWith("slerp.parallel.", StringComparison.Ordinal);
            var share = double.Parse(name[(parallel ? "slerp.parallel." : "slerp.").Length..], System.Globalization.CultureInfo.InvariantCulture);
            Assert.True((SeedNoise.Slerp(low, parallel ? low * 2 : high, share) - golden[name]).abs().max().item<float>() <= 2e-6, name);
            seen++;
        }
        Assert.True(seen > 0);
    }

    [Fact]
    public void Seeds_of_the_tree_are_numpy_s()
    {
        foreach (var row in Cases("brownian").Where(row => Kind(row) == "seed_sequence"))
        {
            var (entropy, pool) = (row.GetProperty("entropy").GetUInt64(), row.GetProperty("pool_size").GetInt32());
            Assert.Equal(Words(row.GetProperty("state3")), new SeedSequence(entropy, [], pool).State(3));
            Assert.Equal(Words(row.GetProperty("state8")), new SeedSequence(entropy, [], pool).State(8));
            foreach (var child in row.GetProperty("children").EnumerateArray())
                Assert.Equal(Words(child.GetProperty("state4")), new SeedSequence(entropy, [.. child.GetProperty("spawn_key").EnumerateArray().Select(key => key.GetUInt64())], pool).State(4));
        }
    }

    [Fact]
    public void Brownian_noise_is_torchsde_s_in_any_order()
    {
        var golden = new GoldenTensors("sampling", "brownian.safetensors");
        foreach (var row in Cases("brownian").Where(row => Kind(row) is "noise" or "noise_batch"))
        {
            using var scope = NewDisposeScope();
            var batch = Kind(row) == "noise_batch";
            long[] seeds = batch ? GoldenTensors.Longs(row.GetProperty("seeds")) : [row.GetProperty("seed").GetInt64()];
            for (var image = 0; image < seeds.Length; image++)
            {
                var tree = new BrownianTree(NoiseKind.Cpu, seeds[image], (row.GetProperty("sigma_min").GetDouble(), row.GetProperty("sigma_max").GetDouble()), 4, 8, 8);
                var queries = row.GetProperty("queries").EnumerateArray().ToList();
                for (var i = queries.Count - 1; i >= 0; i--)
                {
                    var off = (tree.Noise(queries[i][0].GetDouble(), queries[i][1].GetDouble()) - golden[$"{row.GetProperty("key").GetString()}.{i}"][image]).abs().max().item<float>();
                    Assert.True(off <= 5e-5, $"{row}, query {i}: off by {off}");
                }
            }
        }
    }

    [Fact]
    public void Guidance_is_rescaled_as_in_the_paper()
    {
        using var scope = NewDisposeScope();
        var golden = new GoldenTensors("sampling", "cfg_rescale.safetensors");
        var (c, u) = (Synth.Input("sampling.cfg.cond", 2, 4, 8, 8), Synth.Input("sampling.cfg.uncond", 2, 4, 8, 8));
        foreach (var name in golden.Names)
        {
            var parts = name.Split('.', 2);
            var numbers = parts[1].Split('.');
            var guided = u + (c - u) * Number(numbers[0], numbers[1]);
            if (parts[0] == "rescale") guided = CfgRescale.Apply(guided, c, Number(numbers[2], numbers[3]));
            var expected = golden[name];
            Assert.True(((guided - expected).abs() - expected.abs().clamp_min(1) * 1e-5).max().item<float>() <= 0, name);
        }

        static double Number(string whole, string part) => double.Parse($"{whole}.{part}", System.Globalization.CultureInfo.InvariantCulture);
    }

    private static IEnumerable<JsonElement> Cases(string file) => Golden.Json("sampling", $"{file}.json").GetProperty("cases").EnumerateArray();

    private static string Kind(JsonElement row) => row.GetProperty("kind").GetString()!;

    private static float[] Numbers(Tensor noise) => noise.flatten().data<float>().ToArray();

    private static uint[] Words(JsonElement words) => [.. words.EnumerateArray().Select(word => word.GetUInt32())];

    private static void Near(JsonElement expected, float[] actual, JsonElement row)
    {
        var i = 0;
        foreach (var number in expected.EnumerateArray()) Assert.True(Math.Abs(number.GetDouble() - actual[i]) <= 1e-6 * Math.Max(1, Math.Abs(actual[i])), $"{row.GetProperty("seed")}, {row.GetProperty("shape")}: [{i}] {actual[i++]} for {number}");
    }
}
