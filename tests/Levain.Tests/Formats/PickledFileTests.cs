using System.Diagnostics;
using System.Globalization;
using System.IO.Compression;
using System.Text.Json;
using Levain.Core;
using Levain.Formats;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Formats;

/// <summary>Every file of <c>files/ckpt</c>: the good ones bit for bit, the bad ones refused for the right reason, without running or swallowing anything.</summary>
public sealed class PickledFileTests(ITestOutputHelper output)
{
    private const long MaxAllocation = 200L << 20;
    private static readonly TimeSpan Watchdog = TimeSpan.FromSeconds(20);

    [Fact]
    public void Sound_files_give_every_tensor_bit_for_bit()
    {
        var (files, tensors) = (0, 0);
        foreach (var row in Golden.Json("files", "ckpt_good.json").EnumerateArray())
        {
            var name = row.GetProperty("file").GetString()!;
            using var file = TensorFile.Open(Golden.Path("files", "ckpt", "good", name));
            Assert.Equal(row.GetProperty("format").GetString() == "zip" ? "PyTorch zip" : "PyTorch legacy pickle", file.Format);
            var expected = new HashSet<string>();
            foreach (var leaf in row.GetProperty("content").EnumerateObject())
            {
                if (leaf.Value.ValueKind == JsonValueKind.Object && leaf.Value.TryGetProperty("dtype", out _))
                {
                    CheckTensor(file, EntryName(leaf.Name), leaf.Value);
                    expected.Add(EntryName(leaf.Name));
                }
                else if (leaf.Value.ValueKind is JsonValueKind.Number or JsonValueKind.True or JsonValueKind.False)
                {
                    Assert.Equal(Convert.ToString(leaf.Value.ValueKind == JsonValueKind.Number ? leaf.Value.GetDouble() : leaf.Value.GetBoolean(), CultureInfo.InvariantCulture), file.Metadata[EntryName(leaf.Name)]);
                }
            }
            Assert.Equal(expected, file.Entries.Keys.ToHashSet());
            files++;
            tensors += expected.Count;
        }
        output.WriteLine($"{tensors} tensors in {files} files.");
    }

    [Fact]
    public void Bad_files_are_refused_for_the_right_reason_and_nothing_is_run()
    {
        Assert.False(File.Exists("PWNED"));
        var (refused, accepted) = (0, 0);
        foreach (var row in Golden.Json("files", "ckpt_bad.json").EnumerateArray())
        {
            var name = row.GetProperty("file").GetString()!;
            var verdicts = row.GetProperty("verdict").GetString()!.Split("_or_").Select(Fault).ToList();
            var (before, clock) = (GC.GetAllocatedBytesForCurrentThread(), Stopwatch.StartNew());
            try
            {
                using var file = TensorFile.Open(Golden.Path("files", "ckpt", "bad", name));
                foreach (var key in file.Entries.Keys) file.Load(key).Dispose();
                Assert.True(verdicts.Contains(null), $"{name} was accepted.");
                accepted++;
            }
            catch (CheckpointException e)
            {
                Assert.True(verdicts.Contains(e.Fault), $"{name} is {string.Join(" or ", verdicts)}, not {e.Fault}: {e.Message}");
                output.WriteLine(e.Message);
                refused++;
            }
            Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < MaxAllocation, $"{name} allocates too much.");
            Assert.True(clock.Elapsed < Watchdog, $"{name} takes {clock.Elapsed}.");
        }
        Assert.False(File.Exists("PWNED"));
        output.WriteLine($"{refused} refused, {accepted} accepted.");
    }

    [Fact]
    public void A_packed_archive_gives_the_same_tensors()
    {
        var source = Golden.Path("files", "ckpt", "good", "shared_storage_and_strides.pt");
        var path = Path.GetTempFileName();
        using (var from = ZipFile.OpenRead(source))
        using (var to = new ZipArchive(File.Create(path), ZipArchiveMode.Create))
        {
            foreach (var entry in from.Entries)
            {
                using var target = to.CreateEntry(entry.FullName.Replace("archive/", "some name/"), CompressionLevel.SmallestSize).Open();
                using var bytes = entry.Open();
                bytes.CopyTo(target);
            }
        }
        using (var plain = TensorFile.Open(source))
        using (var packed = TensorFile.Open(path))
        {
            Assert.Equal(plain.Entries.Keys, packed.Entries.Keys);
            foreach (var name in plain.Entries.Keys)
            {
                using var scope = NewDisposeScope();
                Assert.Equal(plain.Load(name).bytes.ToArray(), packed.Load(name).bytes.ToArray());
            }
        }
        File.Delete(path);
    }

    [Fact]
    public void Every_shortened_file_is_refused_in_words()
    {
        foreach (var name in (string[])["sd_fp16.ckpt", "legacy_fp16.ckpt"])
        {
            var bytes = File.ReadAllBytes(Golden.Path("files", "ckpt", "good", name));
            var path = Path.GetTempFileName();
            for (var length = 0; length < bytes.Length; length += 13)
            {
                File.WriteAllBytes(path, bytes[..length]);
                Assert.Throws<CheckpointException>(() => TensorFile.Open(path).Dispose());
            }
            File.Delete(path);
        }
    }

    [Fact]
    public void Flipped_bytes_are_refused_in_words_or_change_values_only()
    {
        var random = new Random(7);
        var path = Path.GetTempFileName();
        foreach (var name in Golden.Json("files", "ckpt_good.json").EnumerateArray().Select(row => row.GetProperty("file").GetString()!))
        {
            var bytes = File.ReadAllBytes(Golden.Path("files", "ckpt", "good", name));
            for (var n = 0; n < 60; n++)
            {
                var mutant = (byte[])bytes.Clone();
                for (var flips = random.Next(1, 4); flips > 0; flips--) mutant[random.Next(mutant.Length)] = (byte)random.Next(256);
                File.WriteAllBytes(path, mutant);
                try
                {
                    using var file = TensorFile.Open(path);
                    foreach (var key in file.Entries.Keys) file.Load(key).Dispose();
                }
                catch (CheckpointException)
                {
                    // the only exception there may be
                }
            }
        }
        File.Delete(path);
    }

    internal static string EntryName(string path) => path.StartsWith("state_dict/") ? path["state_dict/".Length..] : path;

    internal static void CheckTensor(TensorFile file, string name, JsonElement expected)
    {
        using var loaded = file.Load(name);
        Assert.Equal(expected.GetProperty("dtype").GetString(), Dtypes.Name(file.Entries[name].Dtype));
        Assert.Equal(expected.GetProperty("shape").EnumerateArray().Select(side => side.GetInt64()), loaded.shape);
        Assert.Equal(expected.GetProperty("hex").GetString(), Convert.ToHexStringLower(loaded.bytes.ToArray()));
    }

    private static CheckpointFault? Fault(string verdict) => verdict switch
    {
        "accept" or "is_safetensors" => null, // opened as what it is
        _ => Enum.Parse<CheckpointFault>(verdict.Replace("_", ""), ignoreCase: true),
    };
}
