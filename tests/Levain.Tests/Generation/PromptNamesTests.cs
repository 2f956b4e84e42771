using Levain.Core;
using Levain.Formats;
using Levain.Generation;
using Levain.Models;
using Levain.Models.Clip;
using Levain.Networks;
using Levain.Tests.Data;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Generation;

/// <summary>Names in prompts: networks, words and hypernetworks, on the embedded base.</summary>
public sealed class PromptNamesTests(PromptNamesTests.TinyBase tiny) : IClassFixture<PromptNamesTests.TinyBase>, IDisposable
{
    private const double Same = 1e-5;       // fp32, three steps on an 8×8 latent

    private readonly TemporaryFolder folder = new();
    private readonly StableDiffusion model = tiny.Model;

    private static string Mochi => Golden.Path("demo", "mochi-kohya.safetensors");

    /// <summary>The embedded base, opened once.</summary>
    public sealed class TinyBase : IDisposable
    {
        public StableDiffusion Model { get; } = StableDiffusion.Open(Path.GetFullPath(Golden.Path("..", "..", "assets", "demo", "tiny-base.safetensors")), Compute.Cpu);

        public void Dispose() => Model.Dispose();
    }

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_tag_acts_as_the_network_it_names_and_leaves_the_base_untouched()
    {
        using var scope = NewDisposeScope();
        Copy(Mochi, "mochi.safetensors");
        using var pipeline = Pipeline();
        var before = Weights();
        var plain = pipeline.Draw(Request("1girl"));
        var tagged = pipeline.Draw(Request("1girl<lora:mochi:0.5:1>"));
        var named = pipeline.Draw(Request("1girl") with { Networks = [new(Mochi, new(0.5, 1))] });
        Assert.NotEqual(plain.Picture.Rgb, tagged.Picture.Rgb);
        Assert.Equal(named.Picture.Rgb, tagged.Picture.Rgb);
        Assert.Equal(plain.Picture.Rgb, pipeline.Draw(Request("1girl")).Picture.Rgb);
        Assert.True(Weights().Zip(before, (now, then) => now.equal(then).all().item<bool>()).All(equal => equal));

        var effect = Assert.Single(tagged.Networks);
        using var file = TensorFile.Open(Mochi);
        Assert.Equal(file.Entries.Keys.Count(key => key.EndsWith("lora_up.weight")), effect.TextEncoderLayers + effect.UNetLayers);
        Assert.InRange(effect.Share, 0.001, 1);
        Assert.Contains($"Lora hashes: \"mochi: {file.Metadata["sshs_model_hash"][..12]}\"", tagged.Infotext);
        Assert.StartsWith("1girl<lora:mochi:0.5:1>\n", tagged.Infotext);
        Assert.StartsWith("1girl<lora:mochi-kohya:0.5:1>\n", named.Infotext);        // what was named beside the prompt can be drawn again from the text
    }

    [Fact]
    public void Patched_weights_draw_what_merged_ones_draw()
    {
        using var scope = NewDisposeScope();
        Tensor patched;
        using (var pipeline = new GenerationPipeline(model)) patched = pipeline.DrawLatent(Request("1girl, smile") with { Networks = [new(Mochi, 0.8)] });
        using var file = TensorFile.Open(Mochi);
        using var network = Network.Load(file, new(model.TextEncoder.AdaptableLayers, model.UNet.AdaptableLayers));
        using var fresh = new GenerationPipeline(model);
        network.Merge(0.8);
        Assert.InRange(Off(patched, fresh.DrawLatent(Request("1girl, smile"))), 0, Same);
    }

    public static TheoryData<string> Families => [.. AdapterFamilies.All.Select(family => family.Name)];

    [Theory]
    [MemberData(nameof(Families))]
    public void A_network_of_every_family_acts_through_a_tag_as_it_does_merged(string family)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        using var random = new Generator(7);
        var layers = new ModelLayers(model.TextEncoder.AdaptableLayers, model.UNet.AdaptableLayers);
        Tensor merged;
        using (var network = Network.Create(new() { Family = family, Rank = 16, Alpha = 16 }, layers, random))
        {
            network.Values.add_(randn(network.Values.shape, generator: random) * 0.02);
            Safetensors.Write(At("net.safetensors"), network.Tensors(), null);
            using var plain = new GenerationPipeline(model);
            network.Merge(0.7);
            merged = plain.DrawLatent(Request("1girl") with { Steps = 1 });
        }
        using var pipeline = Pipeline();
        var tagged = pipeline.DrawLatent(Request("1girl<lora:net:0.7>") with { Steps = 1 });
        Assert.InRange(Off(tagged, merged), 0, 1e-4);      // one step from σ 14: the latent is ten times as large as a later one
        var effect = pipeline.EffectOf(new(At("net.safetensors"), 0.7));
        Assert.True(effect.Acts && effect.Share > 0, effect.ToString());
    }

    [Fact]
    public void Strengths_change_without_reading_the_file_again()
    {
        Copy(Mochi, "mochi.safetensors");
        using var pipeline = Pipeline();
        var first = pipeline.Draw(Request("1girl <lora:mochi:0.3>"));
        var strong = pipeline.Draw(Request("1girl <lora:mochi:1>"));
        var written = File.GetLastWriteTimeUtc(At("mochi.safetensors"));
        File.WriteAllBytes(At("mochi.safetensors"), [1, 2, 3]);
        File.SetLastWriteTimeUtc(At("mochi.safetensors"), written);
        Assert.Equal(first.Picture.Rgb, pipeline.Draw(Request("1girl <lora:mochi:0.3>")).Picture.Rgb);
        Assert.NotEqual(first.Picture.Rgb, strong.Picture.Rgb);
    }

    [Fact]
    public void A_file_named_twice_acts_twice_with_the_last_strength()
    {
        using var scope = NewDisposeScope();
        Copy(Mochi, "mochi.safetensors");
        using var pipeline = Pipeline();
        var twice = pipeline.DrawLatent(Request("1girl <lora:mochi:0.5> <lora:mochi:0.3>"));
        Assert.InRange(Off(twice, pipeline.DrawLatent(Request("1girl   <lora:mochi:0.6>"))), 0, 1e-4);      // 0.3 + 0.3 in another order of sums
    }

    [Fact]
    public void Names_are_file_names_or_aliases_and_shared_aliases_name_nothing()
    {
        using (var file = TensorFile.Open(Mochi))
        {
            using var scope = NewDisposeScope();
            foreach (var (name, alias) in new[] { ("a", "shared"), ("b", "shared"), ("c", "mine"), ("sub/d", "none") })
            {
                Directory.CreateDirectory(Path.GetDirectoryName(At($"{name}.safetensors"))!);
                Safetensors.Write(At($"{name}.safetensors"), [.. file.Entries.Keys.Take(3).Select(key => KeyValuePair.Create(key, file.Load(key)))], new Dictionary<string, string> { ["ss_output_name"] = alias });
            }
        }
        using var pipeline = Pipeline();
        foreach (var name in (string[])["a", "b", "c", "d", "mine"]) Assert.Equal(1, Assert.Single(pipeline.Draw(Request($"1girl <lora:{name}:1>")).Networks).TextEncoderLayers);
        Refused("prompt: <lora:shared:1> names 'shared', which is the alias of several files.", "<lora:shared:1>");
        Refused("prompt: <lora:mime:1> names 'mime', which is not there. Did you mean 'mine'?", "<lora:mime:1>");
        Refused("prompt: <lyco:nothing here:1> names 'nothing here', which is not there.", "<lyco:nothing here:1>");

        void Refused(string words, string prompt) => Assert.StartsWith(words, Assert.Throws<SettingsException>(() => pipeline.Draw(Request(prompt))).Message);
    }

    [Fact]
    public void Networks_for_other_models_and_tags_without_a_folder_are_refused_in_words()
    {
        using var pipeline = Pipeline();
        Copy(Golden.Path("lora-tools", "variant_lora_x_kohya.safetensors"), "xl.safetensors");
        Assert.Contains("SDXL", Assert.Throws<CheckpointException>(() => pipeline.Draw(Request("<lora:xl:1>"))).Message);
        using var bare = new GenerationPipeline(model);
        Assert.Contains("Name the folder that holds it with --lora-dir.", Assert.Throws<SettingsException>(() => bare.Draw(Request("<lora:xl:1>"))).Message);
        Assert.Contains(bare.Draw(Request("1girl <Lora:xl:1>")).Notes, note => note.Contains("Did you mean 'lora'"));
    }

    [Fact]
    public void A_network_that_changes_nothing_is_told()
    {
        Copy(Mochi, "mochi.safetensors");
        using var pipeline = Pipeline();
        var drawn = pipeline.Draw(Request("1girl <lora:mochi:0>"));
        Assert.Contains(drawn.Notes, note => note.StartsWith("mochi: changed nothing"));
        Assert.Equal(pipeline.Draw(Request("1girl ")).Picture.Rgb, drawn.Picture.Rgb);
    }

    [Fact]
    public void Fewer_ranks_are_a_smaller_product_at_the_same_scale()
    {
        using var scope = NewDisposeScope();
        Copy(Mochi, "mochi.safetensors");
        using (var file = TensorFile.Open(Mochi))
        {
            var cut = file.Entries.Keys.Select(key => KeyValuePair.Create(key, Cut(key, file.Load(key)))).ToList();
            Safetensors.Write(At("cut.safetensors"), cut, null);
        }
        using var pipeline = Pipeline();
        Assert.Equal(pipeline.Draw(Request("1girl <lora:cut:1>")).Picture.Rgb, pipeline.Draw(Request("1girl <lora:mochi:1:dyn=3>")).Picture.Rgb);
        Assert.NotEqual(pipeline.Draw(Request("1girl <lora:mochi:1>")).Picture.Rgb, pipeline.Draw(Request("1girl <lora:mochi:1:1:3>")).Picture.Rgb);

        static Tensor Cut(string key, Tensor value)
        {
            if (key.EndsWith("lora_up.weight")) value.narrow(1, 3, value.shape[1] - 3).zero_();
            return value;
        }
    }

    [Fact]
    public void Block_weights_and_steps_act_through_tags()
    {
        using var scope = NewDisposeScope();
        Copy(Mochi, "mochi.safetensors");
        using var pipeline = Pipeline();
        var plain = pipeline.DrawLatent(Request("1girl "));
        Assert.InRange(Off(plain, pipeline.DrawLatent(Request("1girl <lora:mochi:1:lbw=NONE>"))), 0, 0);
        Assert.InRange(Off(pipeline.DrawLatent(Request("1girl <lora:mochi:1>")), pipeline.DrawLatent(Request($"1girl <lora:mochi:1:lbw={string.Join(',', Enumerable.Repeat(1, 26))}>"))), 0, 0);
        var effect = Assert.Single(pipeline.Draw(Request("1girl <lora:mochi:1:lbw=OUTS>")).Networks);
        Assert.True(effect.UNetLayers is > 0 && effect.UnchangedLayers > effect.UNetLayers);

        // text encoder off: a network that never starts draws the base's picture, one that stops early another than one that stays
        Assert.InRange(Off(plain, pipeline.DrawLatent(Request("1girl <lora:mochi:te=0:unet=1:start=90>"))), 0, 0);
        var whole = pipeline.DrawLatent(Request("1girl <lora:mochi:te=0:unet=1>"));
        Assert.InRange(Off(whole, pipeline.DrawLatent(Request("1girl <lora:mochi:te=0:unet=1:stop=90>"))), 0, 0);
        var half = pipeline.DrawLatent(Request("1girl <lora:mochi:te=0:unet=1:stop=2>"));
        Assert.True(Off(half, whole) > Same && Off(half, plain) > Same);
    }

    [Fact]
    public void Embeddings_are_words_wherever_they_stand()
    {
        using var scope = NewDisposeScope();
        var words = model.TextEncoder.Embed(Ids("cat dog"))[0];
        Safetensors.Write(At("catdog.safetensors"), [KeyValuePair.Create("emb_params", words)], null);
        Safetensors.Write(At("wide.safetensors"), [KeyValuePair.Create("emb_params", zeros(1, 768))], null);
        File.WriteAllBytes(At("broken.pt"), [1, 2, 3, 4]);
        using var pipeline = Pipeline();
        var spelled = pipeline.DrawLatent(Request("1girl, (cat dog:1.2)"));
        Assert.InRange(Off(spelled, pipeline.DrawLatent(Request("1girl, (CatDog:1.2)"))), 0, 0);
        var drawn = pipeline.Draw(Request("1girl, wide, catdog") with { NegativePrompt = "catdog" });
        Assert.Contains($"TI hashes: \"catdog: {ModelHashes.Sha256(At("catdog.safetensors"))[..12]}\"", drawn.Infotext);
        Assert.Contains(drawn.Notes, note => note.StartsWith("The embedding 'wide' has vectors of width 768, and this model's have 64"));
        Assert.Contains("broken.pt", Assert.Throws<CheckpointException>(() => pipeline.Draw(Request("broken glass"))).Message);
    }

    [Fact]
    public void Embeddings_are_read_from_every_container()
    {
        using var scope = NewDisposeScope();
        Tensor? first = null;
        foreach (var path in Directory.GetFiles(Golden.Path("files", "embedding")))
        {
            if (Path.GetFileNameWithoutExtension(path) == "sdxl")
            {
                Assert.Contains("is an embedding for SDXL", Assert.Throws<CheckpointException>(() => TextualInversion.Read(path)).Message);
                continue;
            }
            using var word = TextualInversion.Read(path);
            first ??= word.Vectors.clone();
            Assert.True(first.allclose(word.Vectors, 1e-3, 1e-3), path);       // one container holds them in fp16
            Assert.Equal(path.EndsWith(".png") ? Golden.Json("files", "embedding.json").GetProperty("content").GetProperty("name").GetString() : Path.GetFileNameWithoutExtension(path), word.Name);
            Assert.Equal(ModelHashes.Sha256(path)[..12], word.Hash);
        }
    }

    [Fact]
    public void Words_of_a_network_act_while_the_network_does()
    {
        using var scope = NewDisposeScope();
        using (var file = TensorFile.Open(Mochi))
        {
            var vector = model.TextEncoder.Embed(Ids("cat"))[0];
            Safetensors.Write(At("bundle.safetensors"), [.. file.Entries.Keys.Take(3).Select(key => KeyValuePair.Create(key, file.Load(key))), KeyValuePair.Create("bundle_emb.glorp.string_to_param.*", vector)], null);
        }
        using var pipeline = Pipeline();
        Assert.InRange(Off(pipeline.DrawLatent(Request("1girl, glorp<lora:bundle:1>")), pipeline.DrawLatent(Request("1girl, cat<lora:bundle:1>"))), 0, 0);
        Assert.True(Off(pipeline.DrawLatent(Request("1girl, glorp")), pipeline.DrawLatent(Request("1girl, cat"))) > Same);
    }

    [Fact]
    public void Encoded_prompts_are_kept_but_not_beyond_a_change_of_networks()
    {
        using var scope = NewDisposeScope();
        using var pipeline = new GenerationPipeline(model);
        var request = Request("1girl, [smile:frown:0.5]");
        var plain = pipeline.DrawLatent(request);
        Assert.InRange(Off(plain, pipeline.DrawLatent(request)), 0, 0);
        using var file = TensorFile.Open(Mochi);
        using var network = Network.Load(file, new(model.TextEncoder.AdaptableLayers, []));
        network.Attach();
        var changed = pipeline.DrawLatent(request);
        Assert.True(Off(plain, changed) > Same);
        network.Attach(0.1);
        Assert.True(Off(pipeline.DrawLatent(request), changed) > Same);
        network.Detach();
        Assert.InRange(Off(plain, pipeline.DrawLatent(request)), 0, 0);
    }

    [Fact]
    public void Styles_and_comments_are_read_before_tags()
    {
        File.WriteAllText(At("styles.csv"), "name,prompt,negative_prompt\nMochi,\"{prompt}, smile\",frown\n");
        using var pipeline = new GenerationPipeline(model, null, new() { Styles = [At("styles.csv")] });
        var styled = pipeline.Draw(Request("1girl # not this") with { Styles = ["Mochi"] });
        Assert.StartsWith("1girl \n\nNegative prompt: frown\n", styled.Infotext.Replace(", smile", ""));
        Assert.Equal("style: is 'Mohci'. Did you mean 'Mochi'?", Assert.Throws<SettingsException>(() => pipeline.Draw(Request("a") with { Styles = ["Mohci"] })).Message);
    }

    private GenerationPipeline Pipeline() => new(model, "tiny", new() { Networks = [folder.Path], Embeddings = [folder.Path], Hypernetworks = [folder.Path] });

    private static GenerationRequest Request(string prompt) => new() { Prompt = prompt, Size = new(64, 64), Steps = 3, Sampler = "Euler", CfgScale = 5, Seed = 1 };

    private static Tensor Ids(string words) => tensor(ClipTokenizer.Instance.Encode(words).Select(id => (long)id).ToArray()).unsqueeze(0);

    private string At(string name) => Path.Combine(folder.Path, name);

    private void Copy(string from, string name) => File.Copy(from, At(name));

    private List<Tensor> Weights() => [.. model.UNet.AdaptableLayers.Concat(model.TextEncoder.AdaptableLayers).Select(layer => layer.Weight.clone())];

    private static double Off(Tensor a, Tensor b) => (a - b).abs().max().item<float>();
}
