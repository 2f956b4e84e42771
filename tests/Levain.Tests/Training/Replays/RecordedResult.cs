using System.Text.Json;
using System.Text.RegularExpressions;
using Levain.Formats;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Training.Replays;

/// <summary>Compares what a replayed run left behind with what was recorded: tensors, metadata, files, logs.</summary>
internal static partial class RecordedResult
{
    private const double NormTolerance = 1e-3, WeightTolerance = 5e-3;      // relative; the README says what was measured

    // Where an element's first gradient is nearly zero, rounding decides the direction of a whole step. resume_whole: one adapter of 216 is off by
    // 1.3e-3 so, all others by less than 2e-5. One tensor in a hundred may be.
    private const double SingleTolerance = 1e-2, SingleShare = 0.01;

    // opt_prodigy_plain, where it grows by four orders of magnitude, stays within it. Relative.
    private const double FoundTolerance = 1e-4;

    // Times, session, hashes of the base file (and of bits that agree only within the tolerance), the trainer's own commit.
    private static readonly string[] Unequal =
        ["modelspec.date", "ss_training_started_at", "ss_training_finished_at", "ss_session_id", "ss_sd_model_hash", "ss_new_sd_model_hash",
         "ss_vae_hash", "ss_new_vae_hash", "ss_sd_scripts_commit_hash", "sshs_model_hash", "sshs_legacy_hash"];

    // With convolutions adapted, these have a gradient of zero in theory and of rounding noise in fact, which Adam turns into whole steps.
    // So have some biases, where they are trained: that of keys shifts all of a query's scores alike, which softmax takes out again; the last
    // transformer's last two shift channels that are normalised one by one right behind it.
    [GeneratedRegex(@"^lora_unet_(down_blocks_0|up_blocks_3)_resnets_.*time_emb_proj|self_attn_k_proj\.diff_b$|up_blocks_3_attentions_2_(proj_out|transformer_blocks_0_ff_net_2)\.diff_b$")]
    private static partial Regex NoiseOnly();

    public static void CompareTensors(string name, TensorFile file, TensorFile recorded, double looser = 1)
    {
        using var scope = NewDisposeScope();
        var keys = Golden.Json("training", "keysets.json").GetProperty(recorded.Metadata["keys"]).EnumerateArray().Select(key => key.GetString()!).ToList();
        Assert.Equal(keys, file.Entries.Keys.Order(StringComparer.Ordinal));
        var norms = recorded.Load("norm").data<float>().ToArray();
        var (largest, off) = (norms.Max(), new List<string>());
        for (var i = 0; i < keys.Count; i++)
        {
            if (NoiseOnly().IsMatch(keys[i])) continue;
            var norm = file.Load(keys[i]).to(ScalarType.Float32).norm().item<float>();
            if (Math.Abs(norm - norms[i]) > looser * NormTolerance * norms[i] + 1e-9 * largest) off.Add($"the norm of {keys[i]} is {norm}, expected {norms[i]}");
            Assert.True(Math.Abs(norm - norms[i]) <= SingleTolerance * norms[i] + 1e-9 * largest, $"{name}: the norm of {keys[i]} is {norm}, expected {norms[i]}.");
        }
        Assert.True(off.Count <= keys.Count * SingleShare, $"{name}: {string.Join("; ", off)}.");
        foreach (var key in recorded.Entries.Keys.Where(key => key.StartsWith("w.", StringComparison.Ordinal) && !NoiseOnly().IsMatch(key[2..])))
        {
            var (expected, found) = (recorded.Load(key).to(ScalarType.Float32), file.Load(key[2..]).to(ScalarType.Float32));
            if (found.numel() > expected.numel()) found = found.flatten().narrow(0, 0, expected.numel());       // of whole models only the beginning is recorded
            var (apart, length) = ((found - expected).abs().flatten(), expected.norm().item<float>());
            // A single element may be off by a step of the optimizer, for the reason above.
            var difference = apart.norm().item<float>();
            if (difference > looser * WeightTolerance * length && difference <= SingleTolerance * length) difference = apart.sort(0).Values.narrow(0, 0, apart.numel() - 1).norm().item<float>();
            Assert.True(difference <= looser * WeightTolerance * length + 1e-12, $"{name}: {key[2..]} differs by {difference / length:P2}.");
        }
    }

    public static void CompareMetadata(string name, TensorFile file, JsonElement recorded)
    {
        var expected = recorded.EnumerateObject().Where(pair => !Unequal.Contains(pair.Name)).ToDictionary(pair => pair.Name, pair => pair.Value.GetString()!);
        var found = file.Metadata.Where(pair => !Unequal.Contains(pair.Key)).ToDictionary();
        var wrong = expected.Where(pair => !found.TryGetValue(pair.Key, out var value) || value != pair.Value)
            .Select(pair => $"{pair.Key} = {found.GetValueOrDefault(pair.Key, "(missing)")}, expected {pair.Value}")
            .Concat(found.Keys.Except(expected.Keys).Select(key => $"{key} = {found[key]}, not expected"));
        Assert.True(!wrong.Any(), $"{name}: {string.Join(Environment.NewLine, wrong)}");
    }

    public static void CompareFiles(string name, string folder, JsonElement recorded)
    {
        // State folders are ours; kohya's hold pickles.
        var expected = recorded.EnumerateArray().Select(file => file.GetString()!).Where(file => !file.Contains('/') && file.EndsWith(".safetensors"));
        Assert.True(expected.Order(StringComparer.Ordinal).SequenceEqual(Directory.EnumerateFiles(folder, "*.safetensors").Select(Path.GetFileName).Order(StringComparer.Ordinal)!),
            $"{name}: the folder holds {string.Join(", ", Directory.EnumerateFiles(folder).Select(Path.GetFileName))}, expected {string.Join(", ", expected)}.");
    }

    /// <param name="made">Whether the optimizer makes its rates itself, from the size of what it trains: they are then as close as fp32 is.</param>
    public static void CompareLogs(string name, Replay replay, JsonElement recorded, bool made = false)
    {
        var rows = recorded.EnumerateArray().ToList();
        Assert.True(rows.Count == replay.Logs.Count, $"{name}: {replay.Logs.Count} rows logged, expected {rows.Count}.");
        for (var i = 0; i < rows.Count; i++)
        {
            var (step, scalars) = replay.Logs[i];
            Assert.Equal(rows[i].GetProperty("step").GetInt32(), step);
            var expected = rows[i].EnumerateObject().Where(pair => pair.Name != "step").ToList();
            Assert.True(expected.Select(pair => pair.Name).Order().SequenceEqual(scalars.Select(pair => pair.Key).Order()),
                $"{name}, row {i}: {string.Join(", ", scalars.Select(pair => pair.Key))}, expected {string.Join(", ", expected.Select(pair => pair.Name))}.");
            foreach (var (tag, value) in scalars)
            {
                var number = rows[i].GetProperty(tag).GetDouble();
                // Losses within their tolerance, norms of small products within fp32's, rates exactly; a step length found by an optimizer sums up gradients,
                // which agree to 1e-4, and amplifies what they differ by.
                var tolerance = made && tag.StartsWith("lr/") ? 1e-6 * Math.Abs(number) : tag.StartsWith("lr/d*lr/") ? FoundTolerance * Math.Abs(number) : tag.StartsWith("lr/") ? 1e-9 * Math.Abs(number) + 1e-18 : replay.AllowedLoss + 1e-4 * Math.Abs(number);
                Assert.True(Math.Abs(value - number) <= tolerance, $"{name}, row {i}: {tag} is {value:R}, expected {number:R}.");
            }
        }
    }
}
