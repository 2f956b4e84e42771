using System.Numerics;
using System.Text.Json;
using Levain.Core;
using Levain.Data;
using Xunit;

namespace Levain.Tests.Data;

public sealed class RandomTests(ITestOutputHelper output)
{
    [Fact]
    public void Python_numbers_are_those_recorded()
    {
        var (checkedCalls, others) = (0, new HashSet<string>());
        foreach (var row in Golden.Json("dataset", "python_random.json").EnumerateArray())
        {
            var seed = BigInteger.Parse(row.GetProperty("seed").GetRawText());
            foreach (var call in row.EnumerateObject().Where(call => call.Name != "seed"))
            {
                if (Results(call.Name, new PythonRandom(seed)) is not { } results)
                {
                    others.Add(call.Name);
                    continue;
                }
                Assert.Equal(Flatten(call.Value), results);
                checkedCalls++;
            }
        }
        output.WriteLine($"{checkedCalls} calls agree; not used by any trainer: {string.Join("; ", others)}");
        Assert.True(checkedCalls > 0);
    }

    [Fact]
    public void The_loader_visits_batches_in_the_recorded_order()
    {
        foreach (var row in Golden.Json("dataset", "torch_loader_order.json").EnumerateArray())
        {
            var twister = new MersenneTwister((uint)row.GetProperty("seed").GetUInt64());
            foreach (var epoch in row.GetProperty("epochs").EnumerateArray())
            {
                Assert.Equal(epoch.GetProperty("base_seed").GetInt64(), LoaderOrder.DrawSeed(twister.Next));
                var seed = LoaderOrder.DrawSeed(twister.Next);
                Assert.Equal(epoch.GetProperty("sampler_seed").GetInt64(), seed);
                Assert.Equal(epoch.GetProperty("order").EnumerateArray().Select(i => i.GetInt64()), LoaderOrder.Permutation(seed, row.GetProperty("n").GetInt32()));
            }
        }
    }

    private static List<double>? Results(string call, PythonRandom random)
    {
        static List<double> Repeat(int count, Func<double> draw) => [.. Enumerable.Range(0, count).Select(_ => draw())];
        List<double> Shuffled(int count)
        {
            var items = Enumerable.Range(0, count).Select(i => (double)i).ToList();
            random.Shuffle(items);
            return items;
        }
        return call switch
        {
            "getrandbits(32) x8" => Repeat(8, () => random.GetRandBits(32)),
            "random() x8" => Repeat(8, random.Random),
            "randint(0,9) x16" => Repeat(16, () => random.RandInt(0, 9)),
            "randint(0,2**31) x4" => Repeat(4, () => random.RandInt(0, 1L << 31)),
            "randint(0,2**32) x4" => Repeat(4, () => random.RandInt(0, 1L << 32)),
            "randint(-3,5) x8" => Repeat(8, () => random.RandInt(-3, 5)),
            "uniform(-8,8) x4" => Repeat(4, () => random.Uniform(-8, 8)),
            "uniform(0.95,1.05) x4" => Repeat(4, () => random.Uniform(0.95, 1.05)),
            "choice(range(7)) x10" => Repeat(10, () => random.Choice([0, 1, 2, 3, 4, 5, 6])),
            "choice(range(1)) then random()" => [random.Choice([0]), random.Random()],
            "shuffle(range(10))" => Shuffled(10),
            "shuffle(range(97))" => Shuffled(97),
            "shuffle(range(1)) then random()" => [.. Shuffled(1), random.Random()],
            "skip 700 getrandbits(32), then random()" => Repeat(701, () => 0).Select((_, i) => i < 700 ? random.GetRandBits(32) : random.Random()).TakeLast(1).ToList(),
            _ => null,
        };
    }

    private static IEnumerable<double> Flatten(JsonElement value) =>
        value.ValueKind == JsonValueKind.Array ? value.EnumerateArray().SelectMany(Flatten) : [value.GetDouble()];
}
