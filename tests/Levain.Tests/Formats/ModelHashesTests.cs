using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using Levain.Formats;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Formats;

/// <summary>Every row of <c>lora-tools/hashes.json</c>; the files written there are ours byte for byte.</summary>
public sealed class ModelHashesTests(ITestOutputHelper output) : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("levain-hash-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void Files_get_the_hashes_that_other_programs_give_them()
    {
        var rows = Golden.Json("lora-tools", "hashes.json").GetProperty("files").EnumerateArray().ToList();
        foreach (var row in rows)
        {
            var path = row.TryGetProperty("directory", out _) ? folder : Path.Combine(folder, "file");
            if (row.TryGetProperty("bytes", out var length)) File.WriteAllBytes(path, [.. Enumerable.Range(0, length.GetInt32()).Select(i => (byte)((long)i * i + 7L * i + (i >> 8)))]);
            else if (row.TryGetProperty("missing", out _)) File.Delete(path);
            Assert.Equal(row.GetProperty("old_hash").GetString(), ModelHashes.Old(path));
            var sha = ModelHashes.Sha256(path);
            Assert.Equal(row.GetProperty("sha256").GetString(), sha);
            if (row.TryGetProperty("short_hash", out var brief)) Assert.Equal(brief.GetString(), ModelHashes.Short(sha));
        }
        output.WriteLine($"{rows.Count} files.");
    }

    [Fact]
    public void Networks_get_kohyas_hashes_and_its_bytes()
    {
        var rows = Golden.Json("lora-tools", "hashes.json").GetProperty("state_dicts").EnumerateArray().ToList();
        var headers = 0;
        foreach (var row in rows)
        {
            using var scope = NewDisposeScope();
            var tensors = row.GetProperty("tensors").EnumerateObject().Select(t => KeyValuePair.Create(t.Name, Make(t.Name, t.Value))).ToList();
            var metadata = row.GetProperty("metadata").EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetString()!);
            var (model, legacy) = ModelHashes.Sshs(tensors, metadata);
            Assert.Equal(row.GetProperty("sshs_model_hash").GetString(), model);
            if (row.GetProperty("legacy_repeatable").GetBoolean()) Assert.Equal(row.GetProperty("sshs_legacy_hash").GetString(), legacy);
            Assert.Equal(row.GetProperty("lycoris_sshs_model_hash").GetString(), ModelHashes.Lycoris(tensors));

            var path = Path.Combine(folder, "network.safetensors");
            var trained = metadata.Where(pair => pair.Key.StartsWith("ss_")).ToDictionary(); // as the hash sees it
            Safetensors.Write(path, tensors, trained.Count > 0 ? trained : null);
            Assert.Equal(model, ModelHashes.SshsOfFile(path));
            if (!row.TryGetProperty("file_header", out var header) || header.ValueKind == JsonValueKind.Null) continue;
            var bytes = File.ReadAllBytes(path);
            Assert.Equal(header.GetString(), Encoding.UTF8.GetString(bytes, 8, (int)BinaryPrimitives.ReadInt64LittleEndian(bytes)));
            Assert.Equal(row.GetProperty("file_bytes").GetInt64(), bytes.Length);
            Assert.Equal(row.GetProperty("file_sha256").GetString(), ModelHashes.Sha256(path));
            headers++;
        }
        output.WriteLine($"{rows.Count} networks, {headers} compared byte for byte.");
    }

    [Fact]
    public void The_legacy_hash_moves_with_the_length_of_the_metadata_and_the_other_does_not()
    {
        using var scope = NewDisposeScope();
        var tensors = new[] { KeyValuePair.Create("lora_unet.lora_down.weight", Synth.Weight("hash.legacy", 600, 600)) };       // more than the 1 MB in front of what the legacy hash reads
        var (model, legacy) = ModelHashes.Sshs(tensors, new Dictionary<string, string> { ["ss_training_started_at"] = "1764134568.1234567" });
        var (shorterModel, shorterLegacy) = ModelHashes.Sshs(tensors, new Dictionary<string, string> { ["ss_training_started_at"] = "1764134568.5" });
        Assert.Equal(model, shorterModel);
        Assert.NotEqual(legacy, shorterLegacy);
    }

    private static Tensor Make(string name, JsonElement type)
    {
        var shape = type[1].EnumerateArray().Select(side => side.GetInt64()).ToArray();
        return type[0].GetString() switch
        {
            "I64" => full(shape, 7, dtype: ScalarType.Int64),
            var dtype => (shape.Length == 0 ? tensor(3f) : Synth.Weight("hash." + name, shape) * 100f).to(Dtypes.Parse(dtype!)!.Value),
        };
    }
}
