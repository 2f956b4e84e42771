using Levain.Formats;
using Levain.Networks;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Networks;

public sealed class InitialValueTests
{
    [Theory]
    [InlineData("lora_adamw", 11_920_619, true)]
    [InlineData("unet_only", 11_820_843, false)]
    public void The_first_weights_are_the_numbers_kohya_drew(string run, long after, bool textEncoder)
    {
        using var scope = NewDisposeScope();
        var generator = new Generator(42);
        Skip(generator, 11_721_067);        // what loading the tiny model costs kohya
        var numbers = run == "lora_adamw" ? new NetworkOptions { Rank = 4, Alpha = 2 } : new NetworkOptions { Rank = 2, Alpha = 1, TrainTextEncoder = false };
        using var network = Network.Create(numbers, TinyLayers("s00"), generator);

        Assert.Equal(textEncoder ? 216 : 192, network.Adapters.Count);
        var reference = new Generator(42);
        Skip(reference, after);
        Assert.Equal(rand(1, generator: reference).item<float>(), rand(1, generator: generator).item<float>());
        if (run != "lora_adamw") return;

        using var expected = TensorFile.Open(Golden.Path("training", "lora_adamw.init.safetensors"));
        var tensors = network.Tensors().ToDictionary(pair => pair.Key, pair => pair.Value);
        Assert.NotEmpty(expected.Entries);
        foreach (var key in expected.Entries.Keys) Assert.Equal(expected.Load(key).data<float>().ToArray(), tensors[key].data<float>().ToArray());
        foreach (var (key, value) in tensors) if (key.EndsWith("lora_up.weight")) Assert.Equal(0, value.abs().max().item<float>());
    }

    internal static ModelLayers TinyLayers(string order, bool synth = false)
    {
        var shapes = Golden.Json("training", "tiny_sd1.shapes.json");
        return FakeLayer.Model(Golden.Json("training", "orders.json").GetProperty(order).EnumerateArray().Select(name => name.GetString()!),
            key => shapes.TryGetProperty(key, out var shape) ? FakeLayer.Longs(shape) : null, synth);
    }

    private static void Skip(Generator generator, long count)
    {
        const long Piece = 1 << 20;
        for (; count > 0; count -= Piece)
        {
            using var passed = rand(Math.Min(count, Piece), generator: generator);
        }
    }
}
