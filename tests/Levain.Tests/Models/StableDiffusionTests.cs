using Levain.Core;
using Levain.Models;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Models;

public sealed class StableDiffusionTests
{
    private static string TinyBase => Path.Combine(Golden.Root, "..", "..", "assets", "demo", "tiny-base.safetensors");

    [Fact]
    public void A_checkpoint_opens_computes_and_closes()
    {
        using var scope = NewDisposeScope();
        using var model = StableDiffusion.Open(TinyBase, Compute.Cpu);
        using var frozen = no_grad();
        var states = model.TextEncoder.call(full([1, 77], 49407L), 1);
        var prediction = model.UNet.call(zeros(1, 4, 8, 8), tensor(new long[] { 500 }), states);
        var picture = model.Vae.Decode(prediction / model.Vae.ScaleFactor);
        Assert.Equal([1, 3, 64, 64], picture.shape);
        Assert.True(picture.isfinite().all().item<bool>());
        Assert.True(model.InitialDraws > 0);
    }

    [Fact]
    public void A_model_too_narrow_to_gain_by_bf16_stays_in_fp32_unless_bf16_was_asked_for()
    {
        var half = Compute.Cpu with { Dtype = ScalarType.BFloat16 };
        using var chosen = StableDiffusion.Open(TinyBase, half with { ChosenByMachine = true });
        using var asked = StableDiffusion.Open(TinyBase, half);
        Assert.Equal(ScalarType.Float32, chosen.Compute.Dtype);
        Assert.Equal(ScalarType.BFloat16, asked.Compute.Dtype);
    }

    [Fact]
    public void The_autoencoder_may_stay_in_fp32_beside_a_base_in_bf16()
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        using var model = StableDiffusion.Open(TinyBase, Compute.Cpu with { Dtype = ScalarType.BFloat16, WideVae = true });
        using var reference = StableDiffusion.Open(TinyBase, Compute.Cpu);
        var picture = Synth.Input("picture", 1, 3, 64, 64);
        UNetTests.Near(reference.Vae.Encode(picture).Mean, model.Vae.Encode(picture).Mean, tolerance: 0, "latents");
    }

    [Fact]
    public void Lean_memory_keeps_narrow_weights_and_computes_the_same_numbers()
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        using var wide = StableDiffusion.Open(TinyBase, Compute.Cpu with { Memory = MemoryPolicy.Fast });
        using var narrow = StableDiffusion.Open(TinyBase, Compute.Cpu with { Memory = MemoryPolicy.Lean });
        Assert.Equal(ScalarType.Float16, narrow.UNet.AdaptableLayers[0].Weight.dtype);
        var inputs = (Synth.Input("latents", 1, 4, 16, 16), tensor(new long[] { 500 }), Synth.Input("context", 1, 77, wide.UNet.Spec.Context));
        UNetTests.Near(wide.UNet.call(inputs.Item1, inputs.Item2, inputs.Item3), narrow.UNet.call(inputs.Item1, inputs.Item2, inputs.Item3), tolerance: 0, "narrow weights");
    }

    [Fact]
    public void Large_weights_stay_in_the_file_until_their_part_is_kept_wide()
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        using var before = StableDiffusion.Open(TinyBase, Compute.Cpu);
        using var later = StableDiffusion.Open(TinyBase, Compute.Cpu);
        before.KeepWide(ModelPart.TextEncoder);
        var (states, narrow) = (States(before), States(later));
        Assert.Equal((ScalarType.Float32, ScalarType.Float16), (before.TextEncoder.Tokens.Table.dtype, later.TextEncoder.Tokens.Table.dtype));
        Assert.All(later.TextEncoder.AdaptableLayers, layer => Assert.Equal(ScalarType.Float32, layer.Weight.dtype));      // all small

        later.KeepWide(ModelPart.TextEncoder);
        Assert.All(later.TextEncoder.named_parameters(), pair => Assert.Equal(ScalarType.Float32, pair.parameter.dtype));
        UNetTests.Near(states, narrow, tolerance: 0, "in the file");
        UNetTests.Near(states, States(later), tolerance: 0, "widened later");
    }

    [Fact]
    public void What_is_trained_is_kept_wide()
    {
        using var model = StableDiffusion.Open(TinyBase, Compute.Cpu, trainable: true);
        Assert.Equal(ScalarType.Float32, model.TextEncoder.Tokens.Table.dtype);
    }

    [Fact]
    public void Weights_in_the_type_of_the_file_are_its_own_pages()
    {
        using var scope = NewDisposeScope();
        using var source = CheckpointSource.Open(TinyBase);
        var weights = ComponentWeights.Of(source, ModelPart.UNet);
        using var copied = new UNet(UNetSpec.Sd1.SizedBy(weights), Compute.Cpu with { Storage = ScalarType.Float16 });
        using var mapped = new UNet(UNetSpec.Sd1.SizedBy(weights), Compute.Cpu with { Storage = ScalarType.Float16 });
        weights.Fill(copied);
        weights.Fill(mapped, ScalarType.Float16);
        foreach (var ((name, one), (_, other)) in copied.named_parameters().Zip(mapped.named_parameters()))
        {
            Assert.True(one.equal(other).all().item<bool>(), name);
            Assert.Equal(one.dim() > 1, TensorMemory.Address(other) == TensorMemory.Address(source.View(ModelPart.UNet, name)));
        }
    }

    private static Tensor States(StableDiffusion model) => model.TextEncoder.call(tensor(new long[] { 49406, 320, 2368, 49407 }).unsqueeze(0), 1);

    [Fact]
    public void A_lora_is_not_a_base_model() =>
        Assert.Contains("base checkpoint is needed", Assert.Throws<CheckpointException>(() => StableDiffusion.Open(Golden.Path("networks", "file_kohya_lora.safetensors"), Compute.Cpu)).Message);
}
