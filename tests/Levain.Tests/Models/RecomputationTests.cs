using Levain.Models;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Models;

public sealed class RecomputationTests
{
    [Fact]
    public void A_recomputed_step_has_the_bits_of_a_recorded_one()
    {
        using var scope = NewDisposeScope();
        var (loss, gradients, after) = Step(MemoryPolicy.Fast);
        var (lossAgain, gradientsAgain, afterAgain) = Step(MemoryPolicy.Lean);
        Assert.Equal(loss, lossAgain);
        UNetTests.Near(after.@int(), afterAgain.@int(), tolerance: 0, "generator state");
        Assert.Equal(gradients.Keys, gradientsAgain.Keys);
        foreach (var (name, gradient) in gradients) UNetTests.Near(gradient, gradientsAgain[name], tolerance: 0, name);
        Assert.Contains(gradients.Values, gradient => gradient.abs().max().item<float>() > 0);
    }

    [Fact]
    public void Steps_leave_no_tensor_behind()
    {
        using var scope = NewDisposeScope();
        Step(MemoryPolicy.Lean);
        var before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        using (NewDisposeScope()) Step(MemoryPolicy.Lean);
        Assert.Equal(before, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
    }

    [Fact]
    public void Auto_recomputes_what_frees_most_until_the_rest_fits()
    {
        const long Gigabyte = 1L << 30;
        BlockCost[] blocks = [new("wide", 2 * Gigabyte, 1), new("deep", Gigabyte, 10)];
        Assert.Empty(MemoryPlan.Choose(MemoryPolicy.Auto, blocks, available: 5 * Gigabyte).Recomputed);
        Assert.Equal(["wide"], MemoryPlan.Choose(MemoryPolicy.Auto, blocks, available: 3 * Gigabyte).Recomputed);
        Assert.Equal(2, MemoryPlan.Choose(MemoryPolicy.Auto, blocks, available: Gigabyte).Recomputed.Count);
        Assert.Empty(MemoryPlan.Choose(MemoryPolicy.Fast, blocks, available: 0).Recomputed);
        Assert.Equal(2, MemoryPlan.Choose(MemoryPolicy.Lean, blocks, available: 9 * Gigabyte).Recomputed.Count);
    }

    [Fact]
    public void Costs_name_every_block_that_runs()
    {
        using var network = new UNet(UNetSpec.Sd1, Compute.Cpu);
        var costs = network.Costs([1, 4, 64, 64]);
        Assert.Equal(8 + 1 + 12, costs.Count);
        Assert.All(costs, block => Assert.True(block.Bytes > 0));
    }

    private static (float Loss, SortedDictionary<string, Tensor> Gradients, Tensor State) Step(MemoryPolicy memory)
    {
        var weights = SynthModel.Component(["keys", "tiny.json"], "sd1", "unet", "sd1-tiny");
        using var network = new UNet(UNetSpec.Sd1.SizedBy(weights), Compute.Cpu with { Memory = memory });
        weights.Fill(network);
        using var draws = new Generator(7, CPU);
        network.Draws = draws;
        var parameters = new SortedDictionary<string, Tensor>();
        foreach (var layer in network.AdaptableLayers.Where(layer => layer.Key != "conv_in" && !layer.Key.StartsWith("time_embedding") && layer.Key is not ("conv_out" or "conv_norm_out")))
        {
            var shift = Synth.Input(layer.Key, layer.Shape.Out).requires_grad_(true);
            parameters.Add(layer.Key, shift);
            layer.Patch = new NoisyShift(shift, draws);
        }
        var context = Synth.Input("context", 1, 77, network.Spec.Context).requires_grad_(true);
        var prediction = network.call(Synth.Input("latents", 1, 4, 16, 16), tensor(new long[] { 500 }), context);
        var loss = (prediction * Synth.Input("probe", prediction.shape)).sum();
        loss.backward();
        parameters.Add("context", context);
        return (loss.item<float>(), new(parameters.ToDictionary(entry => entry.Key, entry => entry.Value.grad!)), draws.get_state());
    }

    /// <summary>Adds a trained vector to a part of the outputs, drawn anew at each pass: an adapter with dropout, as small as can be.</summary>
    private sealed class NoisyShift(Tensor shift, Generator draws) : ILayerPatch
    {
        public Tensor Forward(IAdaptableLayer layer, Tensor x)
        {
            using var scope = NewDisposeScope();
            var kept = rand(layer.Shape.Out, generator: draws).gt(0.5).to_type(ScalarType.Float32);
            return (layer.Apply(x, layer.Weight, layer.Bias) + (layer.Shape.Kind is LayerKind.Conv2d or LayerKind.GroupNorm ? (shift * kept).view(-1, 1, 1) : shift * kept)).MoveToOuterDisposeScope();
        }
    }
}
