using System.Text;
using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using Levain.Core;
using Levain.Formats;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Formats;

/// <summary>Every file of <c>files/safetensors</c>, and what is written comes back.</summary>
public sealed class SafetensorsTests(ITestOutputHelper output)
{
    [Fact]
    public void Sound_files_give_every_tensor_bit_for_bit()
    {
        var cases = Golden.Json("files", "safetensors_good.json").EnumerateArray().ToList();
        foreach (var row in cases)
        {
            var name = row.GetProperty("file").GetString()!;
            using var file = TensorFile.Open(Golden.Path("files", "safetensors", "good", name));

            var metadata = row.GetProperty("metadata");
            var expected = metadata.ValueKind == JsonValueKind.Null ? [] : metadata.EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetString()!);
            Assert.Equal(expected, file.Metadata.ToDictionary(p => p.Key, p => p.Value));
            Assert.Equal(row.GetProperty("tensors").EnumerateArray().Select(t => t.GetProperty("name").GetString()), file.Entries.Keys);
            foreach (var tensor in row.GetProperty("tensors").EnumerateArray()) CheckTensor(file, tensor);
        }
        output.WriteLine($"{cases.Count} files read.");
    }

    [Fact]
    public void Damaged_and_hostile_files_are_refused_with_a_reason()
    {
        var (refused, accepted) = (0, 0);
        foreach (var row in Golden.Json("files", "safetensors_bad.json").EnumerateArray())
        {
            var name = row.GetProperty("file").GetString()!;
            var advice = row.TryGetProperty("advice", out var text) ? text.GetString()! : "reject";
            var before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                using var file = TensorFile.Open(Golden.Path("files", "safetensors", "bad", name));
                foreach (var key in file.Entries.Keys) file.Load(key).Dispose();
                Assert.False(advice.StartsWith("reject"), $"{name} was accepted.");
                accepted++;
            }
            catch (CheckpointException e)
            {
                Assert.False(advice.StartsWith("accept"), $"{name} was refused: {e.Message}");
                Assert.Contains(name, e.Message);
                output.WriteLine(e.Message);
                refused++;
            }
            Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 200_000_000, $"{name} allocates too much.");
        }
        output.WriteLine($"{refused} refused, {accepted} accepted.");
    }

    [Fact]
    public void A_true_that_is_stored_as_two_is_true()
    {
        using var file = TensorFile.Open(Golden.Path("files", "safetensors", "bad", "bool_values_other_than_0_1.safetensors"));
        using var loaded = file.Load(file.Entries.Keys.First());
        Assert.All(loaded.bytes.ToArray(), b => Assert.InRange(b, 0, 1));
    }

    [Fact]
    public void A_view_outlives_the_file_and_the_scope_it_was_first_asked_in()
    {
        var path = Golden.Path("files", "safetensors", "good", "scalar.safetensors");
        var file = TensorFile.Open(path);
        using (NewDisposeScope()) _ = file.View("alpha");
        using var alpha = file.View("alpha");
        file.Dispose();
        Assert.Equal(8f, alpha.item<float>());
    }

    [Fact]
    public void Copying_converts_and_tells_a_wrong_shape()
    {
        using var scope = NewDisposeScope();
        using var file = TensorFile.Open(Golden.Path("files", "safetensors", "good", "dtype_f8_e4m3.safetensors"));
        var wide = empty(2, 3, dtype: ScalarType.Float32, requires_grad: true);
        file.CopyTo("t", wide);
        Assert.Equal([1f, -2.5f, 0f, 3.25f, 384f, -0.001953125f], wide.data<float>().ToArray());
        var e = Assert.Throws<CheckpointException>(() => file.CopyTo("t", empty(3, 2)));
        Assert.Equal("dtype_f8_e4m3.safetensors: 't' is [2, 3] where [3, 2] is needed.", e.Message);
        Assert.Equal("dtype_f8_e4m3.safetensors: 'u' is not in this file.", Assert.Throws<CheckpointException>(() => file.Load("u")).Message);
    }

    [Theory]
    [InlineData(0x80)]
    [InlineData(0x4B50)]
    public void A_header_as_long_as_another_formats_first_bytes_is_still_a_header(int length)
    {
        using var scope = NewDisposeScope();
        var path = Path.Combine(Path.GetTempPath(), $"levain-{Guid.NewGuid():N}.safetensors");
        int written(int padding)
        {
            Safetensors.Write(path, [new("a", ones(2))], new Dictionary<string, string> { ["text"] = new('x', padding) });
            return BitConverter.ToInt32(File.ReadAllBytes(path));
        }
        Assert.Equal(length, written(length - written(0)));
        using (var file = TensorFile.Open(path)) Assert.Equal("a", Assert.Single(file.Entries.Keys));
        File.Delete(path);
    }

    [Fact]
    public void A_failed_write_leaves_the_old_file()
    {
        using var scope = NewDisposeScope();
        var path = Path.GetTempFileName();
        File.WriteAllText(path, "old");
        Assert.Throws<ArgumentException>(() => Safetensors.Write(path, [new("a", ones(2)), new("a", ones(2))], null));
        Assert.Equal("old", File.ReadAllText(path));
        File.Delete(path);
    }

    [Property(MaxTest = 60)]
    public Property Save_then_load_is_identity()
    {
        var types = new[] { ScalarType.Float32, ScalarType.Float16, ScalarType.BFloat16, ScalarType.Float64, ScalarType.Int64, ScalarType.Byte, ScalarType.Bool, Dtypes.Float8E4M3, ScalarType.Int16 };
        var tensors = Gen.Zip(Gen.Elements(types), Gen.Choose(0, 3).ListOf(3)).ListOf();
        var names = ArbMap.Default.GeneratorFor<NonNull<string>>().Select(n => Sound(n.Get)).ListOf();
        return Prop.ForAll(tensors.ToArbitrary(), names.ToArbitrary(), (wanted, texts) =>
        {
            using var scope = NewDisposeScope();
            var path = Path.GetTempFileName();
            var metadata = texts.Distinct().ToDictionary(t => t, t => t + t);
            var pairs = wanted.Select((w, i) => KeyValuePair.Create($"{i} {texts.ElementAtOrDefault(i)}", Filled(w.Item1, w.Item2.Select(side => (long)side).ToArray(), i))).ToList();
            Safetensors.Write(path, pairs, metadata);
            using (var file = TensorFile.Open(path))
            {
                Assert.Equal(metadata, file.Metadata.ToDictionary());
                Assert.Equal(pairs.Count, file.Entries.Count);
                foreach (var (name, tensor) in pairs)
                {
                    var loaded = file.Load(name);
                    Assert.Equal(tensor.dtype, loaded.dtype);
                    Assert.Equal(tensor.shape, loaded.shape);
                    Assert.Equal(tensor.bytes.ToArray(), loaded.bytes.ToArray());
                }
            }
            File.Delete(path);
        });
    }

    private static Tensor Filled(ScalarType type, long[] shape, int seed) => (Synth.Make($"t{seed}", shape, 200, 0).abs() % 2).to(type);

    /// <summary>Lone surrogates cannot be written as UTF-8, so they are no name.</summary>
    private static string Sound(string text) => Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text));

    private static void CheckTensor(TensorFile file, JsonElement tensor)
    {
        using var scope = NewDisposeScope();
        var entry = file.Entries[tensor.GetProperty("name").GetString()!];
        var hex = tensor.GetProperty("hex").GetString()!;
        Assert.Equal(tensor.GetProperty("dtype").GetString(), Dtypes.Name(entry.Dtype));
        Assert.Equal(tensor.GetProperty("shape").EnumerateArray().Select(side => side.GetInt64()), entry.Shape);
        var loaded = file.Load(entry.Name);
        Assert.Equal(entry.Dtype, loaded.dtype);
        Assert.Equal(entry.Shape, loaded.shape);
        Assert.Equal(hex, Convert.ToHexStringLower(loaded.bytes.ToArray()));
        if (entry.Dtype == ScalarType.ComplexFloat32) return; // no real values to compare

        var wide = empty(entry.Shape, dtype: ScalarType.Float64);
        file.CopyTo(entry.Name, wide);
        Assert.Equal(tensor.GetProperty("values").EnumerateArray().Select(Number), wide.data<double>().ToArray());
    }

    private static double Number(JsonElement value) => value.ValueKind == JsonValueKind.Number ? value.GetDouble() : value.GetString() switch
    {
        "nan" => double.NaN,
        "inf" => double.PositiveInfinity,
        "-inf" => double.NegativeInfinity,
        var other => throw new FormatException(other),
    };
}
