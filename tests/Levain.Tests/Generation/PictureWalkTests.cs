using Levain.Core;
using Levain.Formats;
using Levain.Generation;
using Levain.Models;
using Levain.Tests.Data;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Generation;

public sealed class PictureWalkTests : IDisposable
{
    private static readonly GenerationRequest Girl = new() { Prompt = "1girl, solo, green hair, red dress", Size = new(128, 128), Steps = 8, CfgScale = 5, Seed = 7 };

    private readonly StableDiffusion model = StableDiffusion.Open(Base, Compute.Cpu);
    private readonly GenerationPipeline pipeline;

    public PictureWalkTests() => pipeline = new(model, "tiny");

    private static string Base => Path.GetFullPath(Golden.Path("..", "..", "assets", "demo", "tiny-base.safetensors"));

    [Theory]
    [InlineData("Euler a")]
    [InlineData("DPM++ 2M SDE")]
    public void A_picture_is_the_same_alone_and_in_a_batch(string sampler)
    {
        var request = Girl with { Sampler = sampler, Steps = 4, Batch = new() { Count = 2, Size = 2 } };
        var together = pipeline.DrawAll(request);
        Assert.Equal([7L, 8, 9, 10], together.Select(result => result.Request.Seed));
        Near(pipeline.Draw(together[3].Request).Picture, together[3].Picture, 1);
    }

    [Fact]
    public void A_variation_changes_the_other_seed_from_picture_to_picture()
    {
        var request = Girl with { Steps = 2, SeedOptions = new() { Variation = new(100, 0.2) }, Batch = new() { Size = 2 } };
        Assert.Equal([(7L, 100L), (7L, 101L)], pipeline.DrawAll(request).Select(result => (result.Request.Seed, result.Request.SeedOptions.Variation!.Seed)));
    }

    [Fact]
    public void Denoise_says_how_much_of_a_picture_changes()
    {
        var init = pipeline.Draw(Girl).Picture;
        var other = Girl with { Prompt = "1boy, solo, black hair, white shirt, outdoors, night", Seed = 11 };
        double Change(double denoise) => Distance(init, pipeline.Draw(other with { Img2Img = new(init) { Denoise = denoise } }).Picture);
        var (little, half, all) = (Change(0.05), Change(0.5), Change(1));
        Assert.True(little < half && half < all, $"{little}, {half}, {all}");
        Assert.True(little < 8, $"{little} of 255");
    }

    [Theory]
    [InlineData(false, MaskedContent.Original)]
    [InlineData(false, MaskedContent.Fill)]
    [InlineData(false, MaskedContent.LatentNoise)]
    [InlineData(false, MaskedContent.LatentNothing)]
    [InlineData(true, MaskedContent.Original)]
    public void Only_what_is_masked_is_drawn_anew(bool onlyMasked, MaskedContent content)
    {
        var init = pipeline.Draw(Girl).Picture;
        var mask = Square(init.Size, 32, 80);
        var result = pipeline.Draw(Girl with
        {
            Prompt = "1girl, solo, blonde hair",
            Img2Img = new(init) { Denoise = 0.9, Inpaint = new(mask) { Blur = 2, Content = content, OnlyMasked = onlyMasked, Padding = 8 } },
        });
        const int Reach = 16;                        // of the blur, doubled
        var (inside, outside) = (0, 0);
        for (var i = 0; i < result.Picture.Rgb.Length; i++)
        {
            var (x, y) = (i / 3 % 128, i / 3 / 128);
            var differs = Math.Abs(init.Rgb[i] - result.Picture.Rgb[i]) > 1;
            if (x is >= 32 and < 80 && y is >= 32 and < 80) inside += differs ? 1 : 0;
            else if (x is < 32 - Reach or >= 80 + Reach || y is < 32 - Reach or >= 80 + Reach) outside += differs ? 1 : 0;
        }
        Assert.Equal(0, outside);
        Assert.True(inside > 48 * 48, $"{inside} values changed");
    }

    [Fact]
    public void A_result_can_keep_the_colours_it_began_with()
    {
        var init = pipeline.Draw(Girl).Picture;
        var request = Girl with { Prompt = "1girl, solo, blonde hair, blue dress", Steps = 4, Img2Img = new(init) { Denoise = 0.8 } };
        var free = pipeline.Draw(request).Picture;
        var kept = pipeline.Draw(request with { Img2Img = request.Img2Img with { KeepsColours = true } }).Picture;
        Near(ColourMatch.Apply(free, init), kept, 0);
        Assert.True(Distance(free, kept) > 1);
    }

    [Fact]
    public void A_black_mask_draws_everything_and_says_so()
    {
        var init = new Picture(new(128, 128), new byte[128 * 128 * 3]);
        var result = pipeline.Draw(Girl with { Steps = 2, Img2Img = new(init) { Inpaint = new(new(init.Size, new byte[128 * 128])) { OnlyMasked = true } } });
        Assert.Contains("mask is black", string.Join(' ', result.Notes));
    }

    [Theory]
    [InlineData("Latent")]
    [InlineData("Latent (nearest-exact)")]
    [InlineData("Lanczos")]
    public void A_second_pass_draws_the_same_picture_larger(string upscaler)
    {
        var first = pipeline.Draw(Girl).Picture;
        var steps = new List<GenerationProgress>();
        var second = pipeline.Draw(Girl with { Hires = new() { Scale = 1.5, Upscaler = upscaler, Steps = 3, Denoise = 0.3 } }, new Watch(steps.Add)).Picture;
        Assert.Equal(new PixelSize(192, 192), second.Size);
        Assert.True(Distance(first, second.To(first.Size, ResizeMode.JustResize)) < 40);
        Assert.Equal(8 + 3, steps.Count);
        Assert.Equal((11, 11), (steps[^1].Step, steps[^1].Steps));
    }

    [Theory]
    [InlineData(256, 0, 256, 256)]
    [InlineData(300, 200, 296, 200)]
    [InlineData(0, 192, 192, 192)]
    public void A_second_pass_has_the_size_asked_for_rounded_to_cells(int width, int height, int drawnWidth, int drawnHeight)
    {
        Assert.Equal(new PixelSize(drawnWidth, drawnHeight), new HiresOptions { Size = new(width, height) }.SizesFor(new(128, 128)).Drawn);
    }

    [Fact]
    public void An_inpainting_model_that_ignores_its_further_channels_draws_as_the_model_it_was_made_from()
    {
        using var folder = new TemporaryFolder();
        var path = Path.Combine(folder.Path, "inpaint.safetensors");
        WithFurtherChannels(Base, path);
        using var inpainting = StableDiffusion.Open(path, Compute.Cpu);
        using var other = new GenerationPipeline(inpainting);
        Assert.Equal(5, inpainting.UNet.Spec.FurtherChannels);
        Near(pipeline.Draw(Girl).Picture, other.Draw(Girl).Picture, 1);

        var init = pipeline.Draw(Girl).Picture;
        var again = Girl with { Img2Img = new(init) { Inpaint = new(Square(init.Size, 32, 80)) } };
        Near(pipeline.Draw(again).Picture, other.Draw(again).Picture, 1);
    }

    [Fact]
    public void Another_checkpoint_finishes_pictures_and_draws_the_second_pass()
    {
        using var folder = new TemporaryFolder();
        var (copy, other) = (Path.Combine(folder.Path, "copy.safetensors"), Path.Combine(folder.Path, "other.safetensors"));
        File.Copy(Base, copy);
        Changed(Base, other, "model.diffusion_model.out.2.weight", weight => weight * 0.9);
        using var model = StableDiffusion.Open(Base, Compute.Cpu);
        using var pipeline = new GenerationPipeline(model, "tiny", new() { Networks = [Golden.Path("demo")] });
        var request = Girl with { Prompt = "mochi, 1girl <lora:mochi-kohya:1>", Sampler = "Euler", Steps = 5, Size = new(64, 64) };
        var plain = pipeline.Draw(request).Picture;
        var finished = pipeline.Draw(request with { Refiner = new(copy) { SwitchAt = 0.5 } });
        Near(plain, finished.Picture, 0);                       // the network acts there too
        Assert.Contains("Refiner: copy, Refiner switch at: 0.5", finished.Infotext);

        using var otherModel = StableDiffusion.Open(other, Compute.Cpu);
        using var alone = new GenerationPipeline(otherModel, "other", new() { Networks = [Golden.Path("demo")] });
        var whole = alone.Draw(request).Picture;
        Assert.True(Distance(plain, whole) > 1);
        Near(plain, pipeline.Draw(request with { Refiner = new(other) { SwitchAt = 1 } }).Picture, 0);
        Near(whole, pipeline.Draw(request with { Refiner = new(other) { SwitchAt = 0 } }).Picture, 0);
        var late = pipeline.Draw(request with { Refiner = new(other) { SwitchAt = 0.8 } }).Picture;
        Assert.True(Distance(plain, late) > 0 && Distance(plain, late) < Distance(plain, whole));

        var larger = request with { Steps = 3, Hires = new() { Scale = 1.5, Denoise = 0.5, Steps = 2 } };
        var second = pipeline.Draw(larger).Picture;
        var copied = pipeline.Draw(larger with { Hires = larger.Hires with { Checkpoint = copy } });
        Near(second, copied.Picture, 0);
        Assert.Contains("Hires checkpoint: copy, Hires upscale: 1.5", copied.Infotext);
        Assert.True(Distance(second, pipeline.Draw(larger with { Hires = larger.Hires with { Checkpoint = other } }).Picture) > 0);
        Near(second, pipeline.Draw(larger with { Refiner = new(copy) { SwitchAt = 0 } }).Picture, 0);
        Near(plain, pipeline.Draw(request).Picture, 0);         // nothing of it stays
    }

    [Fact]
    public void Another_checkpoint_that_cannot_be_used_is_told_before_anything_is_drawn()
    {
        using var folder = new TemporaryFolder();
        var (broken, inpainting, drawn) = (Path.Combine(folder.Path, "broken.safetensors"), Path.Combine(folder.Path, "inpaint.safetensors"), new Watch(_ => Assert.Fail("A step was made.")));
        File.WriteAllText(broken, "no checkpoint");
        WithFurtherChannels(Base, inpainting);
        var larger = Girl with { Hires = new() { Scale = 1.5, Denoise = 0.5 } };
        Assert.Throws<CheckpointException>(() => pipeline.Draw(larger with { Hires = larger.Hires with { Checkpoint = broken } }, drawn));
        Assert.Throws<CheckpointException>(() => pipeline.Draw(larger with { Refiner = new(broken) }, drawn));
        Assert.Contains("only one of it and the base is an inpainting checkpoint", Assert.Throws<SettingsException>(() => pipeline.Draw(larger with { Refiner = new(inpainting) }, drawn)).Message);
    }

    [Fact]
    public void A_picture_to_begin_with_is_encoded_in_tiles_too()
    {
        var init = pipeline.Draw(Girl with { Size = new(192, 136), Steps = 2 }).Picture;
        var request = Girl with { Size = init.Size, Steps = 4, Img2Img = new(init) { Inpaint = new(Square(init.Size, 32, 80)) } };
        Near(pipeline.Draw(request).Picture, pipeline.Draw(request with { TileSize = 64 }).Picture, 1);
        var larger = Girl with { Size = new(64, 64), Steps = 2, Hires = new() { Upscaler = "Lanczos", Scale = 2, Denoise = 0.4, Steps = 2 } };
        Near(pipeline.Draw(larger).Picture, pipeline.Draw(larger with { TileSize = 64 }).Picture, 1);
    }

    [Fact]
    public void Decoding_in_tiles_gives_the_whole_picture()
    {
        using var scope = NewDisposeScope();
        var latent = pipeline.DrawLatent(Girl with { Size = new(192, 136), Steps = 3 }) / model.Vae.ScaleFactor;
        var (whole, tiled) = (model.Vae.Decode(latent), model.Vae.DecodeTiled(latent, 16));
        var difference = (whole - tiled).abs();
        Assert.True(difference.max().item<float>() < 1e-5, $"most {difference.max().item<float>()} of -1..1: sums of norms are rounded elsewhere, nothing else differs");
        Assert.True((whole - model.Vae.DecodeTiled(latent, 16, mostKept: 0)).abs().max().item<float>() < 1e-5, "sparing");
        Assert.True((whole - model.Vae.DecodeTiled(latent, 64)).abs().max().item<float>() == 0, "a picture within one tile");
        Assert.True((whole - model.Vae.Decode(latent)).abs().max().item<float>() == 0, "norms are left as they were");
    }

    [Theory]
    [InlineData(Joined.Both)]
    [InlineData(Joined.Width)]
    public void Edges_join_where_they_are_asked_to(Joined edges)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var latent = Synth.Input("seamless", [1, 4, 16, 16]);
        var context = Synth.Input("seamless.text", [1, 77, model.TextEncoder.Spec.Width]);
        Tensor Noise(Tensor x) => model.UNet.forward(x, full([1], 500f), context);
        Tensor Colours(Tensor x) => model.Vae.Decode(x);
        var plain = (Noise: Noise(latent), Colours: Colours(latent));
        using (new Seamless([model.UNet, model.Vae], edges.HasFlag(Joined.Width), edges.HasFlag(Joined.Height)))
        {
            // A picture without an edge does not notice where it begins: moved inside, moved outside.
            foreach (var (flag, side) in new[] { (Joined.Height, 2), (Joined.Width, 3) })
            {
                var noise = Off(Noise(latent.roll(8, side)), Noise(latent).roll(8, side));
                var colours = Off(Colours(latent.roll(8, side)), Colours(latent).roll(64, side));
                Assert.True(edges.HasFlag(flag) ? noise < 1e-4 && colours < 1e-4 : noise > 1e-3 && colours > 1e-3, $"{flag}: {noise}, {colours}");
            }
            Assert.True(Off(Colours(latent), model.Vae.DecodeTiled(latent, 8)) < 1e-4 && Off(Colours(latent), model.Vae.DecodeTiled(latent, 8, mostKept: 0)) < 1e-4);
            Noise(latent.narrow(2, 0, 8).narrow(3, 0, 8));          // maps of one cell go round too
        }
        Assert.Equal((0, 0), (Off(plain.Noise, Noise(latent)), Off(plain.Colours, Colours(latent))));

        static float Off(Tensor a, Tensor b) => (a - b).abs().max().item<float>();
    }

    [Fact]
    public void A_seamless_picture_says_so_and_joins()
    {
        var request = Girl with { Prompt = "1girl, outdoors", Steps = 3 };
        var (plain, seamless) = (pipeline.Draw(request), pipeline.Draw(request with { Joined = Joined.Both }));
        Assert.Contains("Tiling: True", seamless.Infotext);
        Assert.Equal(Joined.Both, InfotextReader.Read(seamless.Infotext).Request.Joined);
        Assert.Equal(Joined.Width, InfotextReader.Read(Infotext.Of(request with { Joined = Joined.Width })).Request.Joined);
        Assert.True(Seam(seamless.Picture) < Seam(plain.Picture), $"{Seam(seamless.Picture)}, {Seam(plain.Picture)}");

        static double Seam(Picture picture) => Enumerable.Range(0, picture.Size.Height).Average(y => Math.Abs(picture.Rgb[y * picture.Size.Width * 3] - picture.Rgb[(y + 1) * picture.Size.Width * 3 - 3]));
    }

    [Fact]
    public void Previews_show_the_picture_s_colours()
    {
        Picture? preview = null;
        var picture = pipeline.Draw(Girl, new Watch(progress => preview = progress.Step == progress.Steps ? progress.Preview!() : preview)).Picture;
        Assert.Equal(new PixelSize(16, 16), preview!.Size);
        Assert.True(Distance(picture.To(preview.Size, ResizeMode.JustResize), preview) < 20, $"{Distance(picture.To(preview.Size, ResizeMode.JustResize), preview)} of 255");
    }

    [Fact]
    public void What_needs_more_memory_than_there_is_is_refused_before_it_begins()
    {
        var problems = new Problems();
        MemoryEstimate.Of(Girl with { Size = new(4096, 4096) }, model).Check(problems, available: 1L << 30);
        var refusal = Assert.Throws<SettingsException>(problems.ThrowIfAny);
        Assert.Contains("size: is 4096x4096, which needs about", refusal.Message);
        Assert.Contains("1.0 GB are free", refusal.Message);
        var (whole, tiled) = (MemoryEstimate.Of(Girl with { Size = new(2048, 2048) }, model), MemoryEstimate.Of(Girl with { Size = new(2048, 2048), TileSize = 512 }, model));
        Assert.True(tiled.DecodeBytes < whole.DecodeBytes / 3, $"{tiled.DecodeBytes} of {whole.DecodeBytes}");
    }

    [Fact]
    public void Weights_of_every_checkpoint_count_as_memory_until_they_are_read()
    {
        using var scope = NewDisposeScope();
        using var other = StableDiffusion.Open(Base, Compute.Cpu);
        var (small, all) = (Girl with { Size = new(64, 64) }, other.UnreadBytes);
        Assert.Equal(all, MemoryEstimate.Of(small, other).UnreadBytes);
        Assert.Equal(MemoryEstimate.Of(small, model).Bytes + all, MemoryEstimate.Of(small, model, other).Bytes);
        Assert.Equal(all, other.UnreadBytes);            // an estimate reads nothing
        Assert.Equal(all - sizeof(float) * other.UNet.parameters().Sum(weight => weight.numel()), other.UnreadBytes);
        _ = (other.Vae, other.TextEncoder);
        Assert.Equal(0, other.UnreadBytes);

        using var another = StableDiffusion.Open(Base, Compute.Cpu);
        var problems = new Problems();
        MemoryEstimate.Of(small, model, another).Check(problems, available: all / 2);
        var refusal = Assert.Throws<SettingsException>(problems.ThrowIfAny).Message;
        Assert.Contains("GB are still to be read", refusal);
        Assert.Contains("draw without a refiner or another checkpoint for the second pass", refusal);
    }

    [Fact]
    public void A_second_pass_s_checkpoint_that_lacks_a_weight_is_told_before_anything_is_drawn()
    {
        using var folder = new TemporaryFolder();
        var path = Path.Combine(folder.Path, "lacking.safetensors");
        using (var file = TensorFile.Open(Base))
        using (NewDisposeScope())
            Safetensors.Write(path, [.. file.Entries.Keys.Where(key => key != "model.diffusion_model.out.2.bias").Select(key => KeyValuePair.Create(key, file.Load(key)))], null);
        var lacking = Assert.Throws<CheckpointException>(() => pipeline.Draw(Girl with { Size = new(64, 64), Hires = new() { Checkpoint = path } }, new Watch(_ => Assert.Fail("A step was made."))));
        Assert.Contains("lacking.safetensors", lacking.Message);
    }

    [Fact]
    public void What_cannot_be_drawn_is_told_in_words()
    {
        var init = new Picture(new(8, 8), new byte[8 * 8 * 3]);
        var request = Girl with
        {
            Img2Img = new(init) { Denoise = 1.5, Inpaint = new(new(init.Size, new byte[64])) { Blur = 500 } },
            Hires = new() { Upscaler = "Latnt", Scale = 20, Sampler = "Eular" },
            Batch = new() { Size = 0 },
            SeedOptions = new() { Variation = new(5, 2) },
            TileSize = 8,
            Refiner = new("nowhere.safetensors") { SwitchAt = 2 },
        };
        var refusal = Assert.Throws<SettingsException>(() => pipeline.Draw(request with { Sampler = "DPM 2M" }));
        Assert.Contains("denoise: is 1.5. Use 0 (keep the picture) to 1", refusal.Message);
        Assert.Contains("mask_blur: is 500.", refusal.Message);
        Assert.Contains("hires_upscaler: is 'Latnt', which is no upscaler known here and no file. Did you mean 'Latent'", refusal.Message);
        Assert.Contains("hires_scale: is 20.", refusal.Message);
        Assert.Contains("hires_sampler: is 'Eular'. Did you mean 'Euler'", refusal.Message);
        Assert.Contains("hires: is given beside a picture to begin with.", refusal.Message);
        Assert.Contains("variation_strength: is 2.", refusal.Message);
        Assert.Contains("vae_tile: is 8.", refusal.Message);
        Assert.Contains("refiner: is nowhere.safetensors, which is not there.", refusal.Message);
        Assert.Contains("refiner_switch: is 2.", refusal.Message);
        Assert.Contains("sampler: is 'DPM 2M'.", refusal.Message);
        Assert.Contains("batch_size: is 0.", Assert.Throws<SettingsException>(() => pipeline.DrawAll(request with { Batch = new() { Size = 0 } })).Message);
    }

    [Fact]
    public void A_picture_that_came_out_broken_says_so()
    {
        var request = Girl with { Size = new(64, 64), Steps = 2 };
        Assert.Contains(pipeline.Draw(request with { CfgScale = 1e308 }).Notes, note => note.StartsWith("The picture came out as numbers that are not finite"));
        Assert.Empty(pipeline.Draw(request).Notes);
        Near(pipeline.Draw(request with { Sampler = "Euler Karras" }).Picture, pipeline.Draw(request with { Sampler = "Euler Karras", ScheduleOptions = new() { Rho = 0, SigmaMin = 0, SigmaMax = 0 } }).Picture, 0);
    }

    [Fact]
    public void Numbers_nothing_can_be_drawn_with_are_told_in_words()
    {
        var network = Golden.Path("demo", "mochi-kohya.safetensors");
        Told("clip_skip: is 100, and the text encoder of tiny has", Girl with { ClipSkip = 100 });
        Told("hires_size: is -5x0.", Girl with { Hires = new() { Size = new(-5, 0) } });
        Told("hires_size: is 2000000000x0.", Girl with { Hires = new() { Size = new(2_000_000_000, 0) } });
        Told("seed_resize: is 99999999x99999999.", Girl with { SeedOptions = new() { ResizeFrom = new(99_999_999, 99_999_999) } });
        Told("eta: is NaN.", Girl with { SamplerOptions = new() { Eta = double.NaN } });
        Told("schedule_min_sigma: is -5.", Girl with { ScheduleOptions = new() { SigmaMin = -5 } });
        Told("schedule_rho: is NaN.", Girl with { ScheduleOptions = new() { Rho = double.NaN } });
        Told("mochi-kohya.safetensors: has a strength that is no finite number.", Girl with { Networks = [new(network, double.NaN)] });

        void Told(string words, GenerationRequest request) => Assert.Contains(words, Assert.Throws<SettingsException>(() => pipeline.Draw(request)).Message);
    }

    public void Dispose()
    {
        pipeline.Dispose();
        model.Dispose();
    }

    private static GrayMask Square(PixelSize size, int from, int to)
    {
        var levels = new byte[size.Area];
        for (var y = from; y < to; y++) levels.AsSpan(y * size.Width + from, to - from).Fill(255);
        return new(size, levels);
    }

    /// <summary>Copies a checkpoint and gives its first convolution five more channels of zeros.</summary>
    private static void WithFurtherChannels(string from, string to)
    {
        const string Entry = "model.diffusion_model.input_blocks.0.0.weight";
        using var scope = NewDisposeScope();
        using var file = TensorFile.Open(from);
        Safetensors.Write(to, [.. file.Entries.Keys.Select(name =>
        {
            var weight = file.Load(name);
            return KeyValuePair.Create(name, name == Entry ? cat([weight, zeros([weight.shape[0], 5, 3, 3], weight.dtype)], 1) : weight);
        })], null);
    }

    private static void Changed(string from, string to, string name, Func<Tensor, Tensor> change)
    {
        using var scope = NewDisposeScope();
        using var file = TensorFile.Open(from);
        Assert.Contains(name, file.Entries.Keys);
        Safetensors.Write(to, [.. file.Entries.Keys.Select(key => KeyValuePair.Create(key, key == name ? change(file.Load(key)).to_type(file.Entries[key].Dtype) : file.Load(key)))], null);
    }

    private static double Distance(Picture a, Picture b) => a.Rgb.Zip(b.Rgb).Average(pair => Math.Abs(pair.First - pair.Second));

    private static void Near(Picture expected, Picture actual, int levels)
    {
        Assert.Equal(expected.Size, actual.Size);
        Assert.True(expected.Rgb.Zip(actual.Rgb).Max(pair => Math.Abs(pair.First - pair.Second)) <= levels);
    }

    private sealed class Watch(Action<GenerationProgress> see) : IProgress<GenerationProgress>
    {
        public void Report(GenerationProgress value) => see(value);
    }
}
