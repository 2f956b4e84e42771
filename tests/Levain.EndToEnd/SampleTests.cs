using System.Security.Cryptography;
using System.Text;
using Levain.Core;
using Levain.Formats;
using Levain.Generation;
using TorchSharp;
using Xunit;

namespace Levain.EndToEnd;

public sealed class SampleTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("levain-sample-").FullName;

    private static string Repository { get; } = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "../../../../.."));

    private static string Base => Path.Combine(Repository, "assets", "demo", "tiny-base.safetensors");

    private static string Lora => Path.Combine(Repository, "tests", "golden", "demo", "mochi-kohya.safetensors");

    [Fact]
    public void A_picture_is_drawn_and_says_how()
    {
        var outcome = LevainProcess.Run(folder, "sample", "--base", Base, "--prompt", "1girl, solo", "--seed", "7", "--sampler", "Euler a", "--steps", "2", "--size", "64x64", "-o", "out/one.png");
        Assert.True(outcome.Code == 0, outcome.ToString());
        var text = Encoding.Latin1.GetString(File.ReadAllBytes(Path.Combine(folder, "out", "one.png")));
        Assert.Contains($"1girl, solo\nSteps: 2, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7, Seed: 7, Size: 64x64, Model hash: {Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(Base)))[..10]}, Model: tiny-base, RNG: CPU", text);
    }

    [Fact]
    public void Strengths_and_seeds_give_a_grid_and_every_picture()
    {
        var outcome = LevainProcess.Run(folder, "sample", "--base", Base, "--lora", Lora, "--strengths", "0.8", "--prompt", "mochi, 1girl", "--seed", "1,2", "--sampler", "ddim", "--steps", "2", "--size", "64x64", "-o", "grid.png");
        Assert.True(outcome.Code == 0, outcome.ToString());
        Assert.Equal(["grid-01.png", "grid-02.png", "grid-03.png", "grid-04.png", "grid.png"], Directory.GetFiles(folder).Select(file => Path.GetFileName(file)!).Order(StringComparer.Ordinal));
        Assert.NotEqual(File.ReadAllBytes(Path.Combine(folder, "grid-01.png")), File.ReadAllBytes(Path.Combine(folder, "grid-02.png")));
    }

    [Fact]
    public void A_picture_is_drawn_again_from_what_it_says_and_what_it_cannot_say_is_asked_for()
    {
        var init = Path.Combine(Repository, "assets", "demo", "mochi", "mochi_01.png");
        var mask = Path.Combine(folder, "mask.png");
        var (white, size) = (Enumerable.Repeat((byte)255, 32 * 32 * 3).ToArray(), new PixelSize(32, 32));
        PngFile.Write(mask, new(size, white));
        string[] drawing = ["--base", Base, "--size", "64x64", "--steps", "4"];
        var first = LevainProcess.Run(folder, ["sample", .. drawing, "--prompt", "1girl, (smile", "--seed", "5", "--init", init, "--mask", mask, "--mask-blur", "2", "--mask-content", "fill", "--only-masked", "--mask-padding", "8", "--denoise", "0.5", "-o", "first.png"]);
        Assert.True(first.Code == 0, first.ToString());
        var text = Encoding.Latin1.GetString(File.ReadAllBytes(Path.Combine(folder, "first.png")));
        Assert.Contains("1girl, (smile\nSteps: 4", text);             // the webui reads an open bracket to the end: no mistake
        Assert.Contains("Denoising strength: 0.5, Init image hash: ", text);
        Assert.Contains("Mask blur: 2, Inpaint area: Only masked, Masked area padding: 8, Masked content: fill", text);

        var bare = LevainProcess.Run(folder, "sample", "--base", Base, "--from", "first.png", "-o", "second.png");
        Assert.Equal(2, bare.Code);
        Assert.Contains("--init: is not given, and first.png was drawn from a picture that it does not hold. Name that picture: --init FILE", bare.Error);
        Assert.Contains("--mask: is not given, and first.png was drawn with a mask that it does not hold. Name that mask: --mask FILE.", bare.Error);

        var hash = text.Split("Init image hash: ")[1][..32];
        Directory.CreateDirectory(Path.Combine(folder, "init-images"));
        File.Copy(init, Path.Combine(folder, "init-images", $"{hash}.png"));
        var found = LevainProcess.Run(folder, "sample", "--base", Base, "--from", "first.png", "--mask", mask, "-o", "third.png");
        Assert.True(found.Code == 0, found.ToString());
        Assert.Equal(File.ReadAllBytes(Path.Combine(folder, "first.png")), File.ReadAllBytes(Path.Combine(folder, "third.png")));
        var other = LevainProcess.Run(folder, "sample", "--base", Base, "--from", "first.png", "--init", mask, "--mask", mask, "--size", "64x72", "-o", "fourth.png");
        Assert.Contains("mask.png is not the picture that first.png was drawn from", other.Error);
    }

    [Fact]
    public void A_preview_of_several_pictures_is_told_to_do_nothing()
    {
        var outcome = LevainProcess.Run(folder, "sample", "--base", Base, "--prompt", "a", "--prompt", "b", "--preview", "now.png");
        Assert.Equal(2, outcome.Code);
        Assert.Contains("--preview: is given beside several prompts, seeds or strengths.", outcome.Error);
    }

    [Fact]
    public void Where_nothing_can_be_written_is_told_before_anything_is_drawn()
    {
        File.WriteAllText(Path.Combine(folder, "afile"), "");
        Directory.CreateDirectory(Path.Combine(folder, "folder.png"));
        string[] drawing = ["--base", Base, "--prompt", "1girl", "--steps", "2", "--size", "64x64"];
        Told("--output: lies in .*afile, which is a file and no folder", ["sample", .. drawing, "-o", "afile/deep/one.png"]);
        Told("--output: is folder.png, which is a folder", ["sample", .. drawing, "-o", "folder.png"]);
        Told("--preview: is folder.png, which is a folder", ["sample", .. drawing, "--preview", "folder.png"]);
        Told("--output: is folder.png, which is a folder", ["grid", .. drawing, "--x", "Seed=1-2", "-o", "folder.png"]);
        Told("--output: lies in .*afile, which is a file and no folder", ["reg", "class", .. drawing, "--count", "1", "-o", "afile"]);
        Told("--output: lies in .*afile, which is a file and no folder", ["taste", Lora, "--base", Base, "--trigger", "mochi", "-o", "afile"]);
        Assert.Equal(["afile"], Directory.GetFiles(folder).Select(Path.GetFileName));

        void Told(string words, string[] command)
        {
            var outcome = LevainProcess.Run(folder, command);
            Assert.Equal(2, outcome.Code);
            Assert.Matches(words, outcome.Error);
            Assert.DoesNotContain("step", outcome.Error);
        }
    }

    [Theory]
    [InlineData("--seed", "--seed: is empty.")]
    [InlineData("--strengths", "--strengths: is empty.")]
    public void An_empty_list_is_told(string option, string words)
    {
        var outcome = LevainProcess.Run(folder, "sample", "--base", Base, "--lora", Lora, "--prompt", "1girl", option, "");
        Assert.Equal(2, outcome.Code);
        Assert.Contains(words, outcome.Error);
        Assert.Single(outcome.Error.Split(words)[1..]);
    }

    [Fact]
    public void Everything_that_is_wrong_is_told_before_a_model_is_opened()
    {
        var outcome = LevainProcess.Run(folder, "sample", "--base", "nowhere.safetensors", "--lora", "missing.safetensors:0.5", "--prompt", "a", "--sampler", "eulr", "--size", "100x100", "--seed", "a");
        Assert.Equal(2, outcome.Code);
        Assert.Contains("Did you mean 'Euler'", outcome.Error);
        Assert.Contains("--size: is 100x100, and sides are multiples of 8 px: 96x96 is used.", outcome.Error);
        Assert.Contains("--seed: holds 'a'", outcome.Error);
        Assert.Contains("missing.safetensors: is not there", outcome.Error);
    }

    [Fact]
    public void Files_that_do_not_fit_are_refused_in_words()
    {
        using (torch.NewDisposeScope())
        {
            Safetensors.Write(Path.Combine(folder, "xl.safetensors"), [new("lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight", torch.zeros(1, 8)), new("lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight", torch.zeros(8, 1))], null);
        }
        string[] drawing = ["--base", Base, "--size", "64x64", "--steps", "1", "--lora-dir", "."];
        var network = LevainProcess.Run(folder, ["sample", .. drawing, "--prompt", "1girl <lora:xl:1>"]);
        Assert.Equal(1, network.Code);
        Assert.Contains("xl.safetensors: 'lora_te2_text_model_encoder_layers_0_mlp_fc1' is a layer of SDXL, and this base is Stable Diffusion 1.x. Use a network made for SD 1.x.", network.Error);
        Assert.Equal(0, LevainProcess.Run(folder, ["sample", .. drawing, "--prompt", "1girl", "--tiling", "width", "--vae-tile", "64"]).Code);
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);
}
