using Levain.Core;
using Levain.Formats;
using Levain.Models;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Models;

/// <summary>One base model in all its containers: the single file of the demo, and folders made from it.</summary>
public sealed class CheckpointSourceTests : IDisposable
{
    private static readonly string Demo = Path.GetFullPath(Golden.Path("..", "..", "assets", "demo", "tiny-base.safetensors"));

    private readonly string folder = Directory.CreateTempSubdirectory("levain-source-").FullName;
    private readonly DisposeScope scope = NewDisposeScope();

    public void Dispose()
    {
        scope.Dispose();
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public void A_single_file_is_read_by_the_names_of_its_parts()
    {
        using var source = CheckpointSource.Open(Demo);
        Assert.Equal("an SD 1.x checkpoint", source.Kind.Name);
        Assert.Equal([64, 4, 3, 3], source.ShapeOf(ModelPart.UNet, "conv_in.weight"));
        Assert.Equal([64, 64], source.ShapeOf(ModelPart.Vae, "encoder.mid_block.attentions.0.to_q.weight")); // [64, 64, 1, 1] in the file
        Assert.Equal([49408, 64], source.ShapeOf(ModelPart.TextEncoder, "text_model.embeddings.token_embedding.weight"));
        Assert.False(source.Has(ModelPart.TextEncoder, "text_model.embeddings.position_ids"));

        var wide = empty(64, 64, dtype: ScalarType.Float32);
        source.CopyTo(ModelPart.Vae, "encoder.mid_block.attentions.0.to_q.weight", wide);
        using var file = TensorFile.Open(Demo);
        Assert.True(Same(wide, file.Load("first_stage_model.encoder.mid.attn_1.q.weight").squeeze().to(ScalarType.Float32)));
        Assert.Equal("tiny-base.safetensors: 'conv_in.wait' is missing from the U-Net.", Assert.Throws<CheckpointException>(() => source.ShapeOf(ModelPart.UNet, "conv_in.wait")).Message);
        Assert.Equal("tiny-base.safetensors: holds no second text encoder. Use a complete checkpoint.", Assert.Throws<CheckpointException>(() => source.Load(ModelPart.TextEncoder2, "x")).Message);
    }

    [Theory]
    [InlineData("diffusion_pytorch_model.safetensors", "model.safetensors", false)]
    [InlineData("diffusion_pytorch_model.fp16.safetensors", "model.fp16.safetensors", false)]
    [InlineData("diffusion_pytorch_model.safetensors", "model.safetensors", true)]
    public void A_diffusers_folder_gives_the_same_tensors(string weights, string text, bool sharded)
    {
        using var single = CheckpointSource.Open(Demo);
        Write(single, ModelPart.UNet, "unet", weights, sharded);
        Write(single, ModelPart.Vae, "vae", weights, sharded);
        Write(single, ModelPart.TextEncoder, "text_encoder", text, sharded);

        using var source = CheckpointSource.Open(folder);
        Assert.Equal(single.Kind, source.Kind);
        foreach (var part in (ModelPart[])[ModelPart.UNet, ModelPart.Vae, ModelPart.TextEncoder])
        {
            Assert.Equal(single.Names(part).Order(), source.Names(part).Order());
            foreach (var name in single.Names(part)) Assert.True(Same(single.Load(part, name), source.Load(part, name)), name);
        }
    }

    [Theory]
    [InlineData("first_stage_model.", false)] // cut from a checkpoint
    [InlineData("", false)]                   // LDM's own VAE files
    [InlineData("", true)]                    // diffusers before 0.17: query, key, value
    public void A_separate_vae_replaces_the_models_own(string prefix, bool oldNames)
    {
        using var single = CheckpointSource.Open(Demo);
        var tensors = single.Names(ModelPart.Vae).Select(name =>
        {
            var key = oldNames ? name.Replace(".to_q.", ".query.").Replace(".to_k.", ".key.").Replace(".to_v.", ".value.").Replace(".to_out.0.", ".proj_attn.")
                : KeyMap.Sd1.ToSingleFile(ModelPart.Vae, name)!.Value.Key.Replace("first_stage_model.", prefix);
            var value = single.Load(ModelPart.Vae, name) * 2;
            return KeyValuePair.Create(key, !oldNames && ComponentIsMatrix(name) ? value.unsqueeze(-1).unsqueeze(-1) : value);
        }).ToList();
        var path = Path.Combine(folder, "vae.safetensors");
        Safetensors.Write(path, tensors, null);

        using var source = CheckpointSource.Open(Demo, path);
        Assert.Equal([Demo, path], source.Files);
        Assert.Equal(single.Names(ModelPart.Vae).Order(), source.Names(ModelPart.Vae).Order());
        foreach (var name in single.Names(ModelPart.Vae)) Assert.True(Same(single.Load(ModelPart.Vae, name) * 2, source.Load(ModelPart.Vae, name)), name);
    }

    [Fact]
    public void Other_models_are_refused_by_name()
    {
        Assert.Equal("sdxl.safetensors: is an SDXL checkpoint; an SD 1.x base checkpoint is needed here.", Refusal("sdxl", ("model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight", [2, 2048])));
        Assert.Equal("sd2.safetensors: is an SD 2.x checkpoint; an SD 1.x base checkpoint is needed here.", Refusal("sd2", ("model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight", [2, 1024])));
        Assert.Equal("depth.safetensors: is an SD 1.x depth checkpoint; an SD 1.x base checkpoint is needed here.", Refusal("depth",
            ("model.diffusion_model.input_blocks.0.0.weight", [4, 5, 3, 3]), ("model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight", [2, 768])));
        Assert.Equal("lora.safetensors: is an SD 1.x LoRA; an SD 1.x base checkpoint is needed here.", Refusal("lora", ("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight", [4, 768])));
        Assert.Equal("vae.safetensors: is a VAE alone; it can replace the VAE of a base model, but an SD 1.x base checkpoint is needed here.", Refusal("vae", ("decoder.conv_in.weight", [4, 4, 3, 3])));
        Assert.Equal("ti.safetensors: is an SD 1.x embedding (textual inversion); an SD 1.x base checkpoint is needed here.", Refusal("ti", ("emb_params", [2, 768])));
        Assert.Equal("odd.safetensors: is a file of unknown content; an SD 1.x base checkpoint is needed here.", Refusal("odd", ("odd.weight", [2, 2])));
        Assert.Contains("no diffusers model", Assert.Throws<CheckpointException>(() => CheckpointSource.Open(folder)).Message);
    }

    private static bool Same(Tensor a, Tensor b) => a.dtype == b.dtype && a.shape.SequenceEqual(b.shape) && a.eq(b).all().item<bool>();

    private static bool ComponentIsMatrix(string name) => name.Contains(".to_") && name.EndsWith(".weight");

    private string Refusal(string name, params (string Key, long[] Shape)[] tensors)
    {
        var path = Path.Combine(folder, name + ".safetensors");
        Safetensors.Write(path, [.. tensors.Select(t => KeyValuePair.Create(t.Key, zeros(t.Shape)))], null);
        return Assert.Throws<CheckpointException>(() => CheckpointSource.Open(path)).Message;
    }

    private void Write(CheckpointSource source, ModelPart part, string name, string file, bool sharded)
    {
        var target = Path.Combine(folder, name, file);
        var tensors = source.Names(part).Select(key => KeyValuePair.Create(key, source.Load(part, key))).ToList();
        if (!sharded)
        {
            Safetensors.Write(target, tensors, null);
            return;
        }
        var half = tensors.Count / 2;
        Safetensors.Write(Path.Combine(folder, name, "first.safetensors"), tensors[..half], null);
        Safetensors.Write(Path.Combine(folder, name, "second.safetensors"), tensors[half..], null);
        var map = tensors.Select((t, i) => $"\"{t.Key}\": \"{(i < half ? "first" : "second")}.safetensors\"");
        File.WriteAllText(target + ".index.json", $"{{\"weight_map\": {{{string.Join(", ", map)}}}}}");
    }
}
