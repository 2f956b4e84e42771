using Levain.Models;
using Levain.Networks;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Networks;

/// <summary>Networks on a base whose weights are kept in the 16 bits of its file act as on one that is kept wide.</summary>
public sealed class NarrowBaseTests : IDisposable
{
    private static string TinyBase => Path.Combine(Golden.Root, "..", "..", "assets", "demo", "tiny-base.safetensors");

    private readonly IDisposable scope = NewDisposeScope();
    private readonly StableDiffusion wide = StableDiffusion.Open(TinyBase, Compute.Cpu);
    private readonly StableDiffusion narrow = StableDiffusion.Open(TinyBase, Compute.Cpu with { Memory = MemoryPolicy.Lean });

    [Fact]
    public void A_weight_that_is_patched_once_is_not_rounded_to_the_files_type() =>
        Assert.All(Both(network => network.Attach(new NetworkStrength(0.7, 0.7), weightOnce: true)), same => Assert.True(same));

    [Fact]
    public void A_merged_weight_is_not_rounded_to_the_files_type() =>
        Assert.All(Both(network => network.Merge(new NetworkStrength(0.7, 0.7))), same => Assert.True(same));

    [Fact]
    public void Products_in_training_are_the_same() =>
        Assert.All(Both(network => network.Attach()), same => Assert.True(same));

    public void Dispose()
    {
        wide.Dispose();
        narrow.Dispose();
        scope.Dispose();
    }

    // Whether both say the same with the network, and without it again.
    private IEnumerable<bool> Both(Action<Network> hang)
    {
        using var frozen = no_grad();
        var (one, other) = (On(wide), On(narrow));
        var before = Prediction(wide);
        hang(one);
        hang(other);
        var (changed, alike) = (Prediction(wide), Prediction(narrow));
        one.Dispose();
        other.Dispose();
        return [Same(changed, alike), !Same(changed, before), Same(before, Prediction(wide)), Same(before, Prediction(narrow))];

        static bool Same(Tensor a, Tensor b) => a.equal(b).all().item<bool>();
    }

    private static Network On(StableDiffusion model)
    {
        using var draws = new Generator(7);
        var network = Network.Create(new NetworkOptions { Rank = 4, Alpha = 4 }, new(model.TextEncoder.AdaptableLayers, model.UNet.AdaptableLayers), draws);
        network.Values.copy_(randn(network.Values.shape, generator: draws) * 0.1);
        network.Forget();
        return network;
    }

    private static Tensor Prediction(StableDiffusion model)
    {
        var states = model.TextEncoder.call(full([1, 77], 49407L), 1);
        return model.UNet.call(Synth.Input("latents", 1, 4, 16, 16), tensor(new long[] { 500 }), states);
    }
}
