using Levain.Formats;
using Levain.Training;
using Levain.Training.EightBit;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Training.Optimization;

/// <summary>8-bit moments: the maps entry by entry, rounding to the nearest entry on both sides of every midpoint, the codes after a step, and the memory.</summary>
public sealed class EightBitTests
{
    [Fact]
    public void The_maps_are_bitsandbytes_own()
    {
        foreach (var entry in Golden.Json("optimizers", "dynamic_map.json").EnumerateObject())
            Assert.Equal(entry.Value.EnumerateArray().Select(number => (float)number.GetDouble()), MapOf(entry.Name).Entries.ToArray());
    }

    [Fact]
    public void Every_number_gets_the_nearest_code_and_comes_back()
    {
        using var scope = NewDisposeScope();
        using var recorded = TensorFile.Open(Golden.Path("optimizers", "quantize_blockwise.safetensors"));
        var cases = recorded.Entries.Keys.Where(name => name.EndsWith(".x", StringComparison.Ordinal)).Select(name => name[..^2]).ToList();
        Assert.NotEmpty(cases);
        foreach (var name in cases)
        {
            var map = MapOf(name.Split('.')[^1]);
            var (x, codes) = (recorded.Load(name + ".x").data<float>().ToArray(), recorded.Load(name + ".codes").data<byte>().ToArray());
            if (name.StartsWith("edges", StringComparison.Ordinal))
            {
                Assert.Equal(codes, x.Select(map.Nearest));
                Assert.Equal(codes, map.Encode(recorded.Load(name + ".x"), keepSign: false).data<byte>().ToArray());
                continue;
            }
            var (largest, back) = (recorded.Load(name + ".absmax").data<float>().ToArray(), recorded.Load(name + ".back").data<float>().ToArray());
            for (var block = 0; block < largest.Length; block++)
            {
                var at = (block * BlockMemory.Block)..Math.Min(x.Length, (block + 1) * BlockMemory.Block);
                var (found, decoded) = (new byte[x[at].Length], new float[x[at].Length]);
                Assert.Equal(largest[block], map.Encode(x[at], found, keepSign: false));
                map.Decode(found, largest[block], decoded);
                Assert.Equal(back[at], decoded);
                if (largest[block] > 0) Assert.Equal(codes[at], found);
            }
        }
    }

    // Whole registers against single numbers: around every midpoint and power of ten, and over all sizes.
    [Theory]
    [InlineData("signed")]
    [InlineData("unsigned")]
    public void Numbers_encoded_side_by_side_get_the_codes_they_get_alone(string name)
    {
        var map = MapOf(name);
        var entries = map.Entries.ToArray();
        var edges = entries.Zip(entries.Skip(1), (low, high) => (low + high) * 0.5f).Concat(Enumerable.Range(0, 9).Select(decade => MathF.Pow(10, -decade)))
            .SelectMany(edge => new[] { MathF.BitDecrement(edge), edge, MathF.BitIncrement(edge) });
        var sizes = Enumerable.Range(0, 20000).Select(i => MathF.Pow(2, -i / 700f));
        float[] all = [.. edges.Concat(sizes).Concat([0f, float.Epsilon]).SelectMany(x => new[] { x, -x }).Where(x => Math.Abs(x) < 1 && (name == "signed" || x >= 0))];
        foreach (var block in all.Chunk(BlockMemory.Block - 1).Select(chunk => chunk.Append(1f).ToArray()))
        {
            var (codes, back) = (new byte[block.Length], new float[block.Length]);
            Assert.Equal(1, map.Encode(block, codes, keepSign: false));
            Assert.Equal(block.Select(map.Nearest), codes);
            map.Decode(codes, 1, back);
            Assert.Equal(codes.Select(code => entries[code]), back);
        }
    }

    // At most two codes in a thousand may be one entry off: bitsandbytes divides with a fast instruction.
    [Fact]
    public void Codes_after_a_step_are_those_recorded()
    {
        var compared = 0;
        foreach (var row in Golden.Json("optimizers", "cases.json").EnumerateArray())
        {
            if (RecordedTrajectory.Read(row, new()) is not var (optimizer, options)) continue;
            using var scope = NewDisposeScope();
            using var frozen = no_grad();
            using var walk = new RecordedTrajectory(row, optimizer, options);
            if (walk.Rule is not BlockRule rule || !walk.Names.Contains("D")) continue;
            using var recorded = TensorFile.Open(Golden.Path("optimizers", row.GetProperty("name").GetString() + ".safetensors"));
            walk.Step(1);
            foreach (var (memory, state) in new[] { (rule.First, 1), (rule.Second, 2) })
            {
                if (memory is null || !recorded.Entries.TryGetValue($"state1.D.state{state}", out var entry) || entry.Dtype != ScalarType.Byte) continue;
                var tensor = walk.Groups.SelectMany(group => group.Tensors).Single(tensor => tensor.Length == 70 * 61);
                var (expected, found) = (recorded.Load($"state1.D.state{state}").flatten().to(ScalarType.Int32), memory.Codes.narrow(0, memory[tensor].Start, tensor.Length).to(ScalarType.Int32));
                var difference = (expected - found).abs();
                Assert.True(difference.max().item<int>() <= 1 && (difference > 0).sum().item<long>() <= tensor.Length / 500, $"{row.GetProperty("name")}, state {state}: {(difference > 0).sum().item<long>()} codes differ.");
                compared++;
            }
        }
        Assert.NotEqual(0, compared);
    }

    [Theory]
    [InlineData("AdamW", 8.0)]
    [InlineData("AdamW8bit", 2.03125)]
    [InlineData("Lion8bit", 1.015625)]
    [InlineData("SGDNesterov8bit", 1.015625)]
    public void Eight_bits_are_a_byte_for_each_number_and_four_for_each_256(string name, double bytes)
    {
        using var scope = NewDisposeScope();
        var values = zeros(128 * 768);
        using var rule = Optimizers.Named(name)!.Defaults.Create(new(values, values, [new(1, [new(0, [128, 768])])], 1));
        Assert.Equal(bytes, rule.MemoryBytes / (double)values.numel());
    }

    private static DynamicMap MapOf(string name) => name == "signed" ? DynamicMap.Signed : DynamicMap.Unsigned;
}
