using System.CommandLine;
using Levain.Cli;
using Levain.Core;
using Levain.Generation;
using Xunit;

namespace Levain.Tests.Cli;

public sealed class PictureOptionsTests
{
    private const string Drawn = "1girl\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512";

    [Theory]
    [InlineData("--keep-colours")]
    [InlineData("--mask m.png", "--mask")]
    [InlineData("--hires-checkpoint other.safetensors", "--hires-checkpoint")]
    [InlineData("--refiner-switch 0.5", "--refiner-switch")]
    [InlineData("--refiner-switch 0.5", "--refiner-switch", Drawn)]
    [InlineData("--refiner-switch 0.5", "--refiner", Drawn + ", Refiner: other")]
    [InlineData("--denoise 0.5", "--denoise")]
    [InlineData("--resize CropAndResize", "--resize")]
    [InlineData("--exact-steps", "--exact-steps")]
    [InlineData("--extra-noise 0.1", "--extra-noise")]
    [InlineData("--init i.png --mask-blur 3", "--init --mask-blur")]
    [InlineData("--init i.png --mask-content Fill --only-masked --mask-padding 8 --mask-invert", "--init --mask-content --only-masked --mask-padding --mask-invert")]
    [InlineData("--init i.png --mask m.png --mask-padding 8", "--mask-padding --init")]
    [InlineData("--hires-upscaler Lanczos --hires-steps 5 --hires-denoise 0.5 --hires-sampler Euler", "--hires-upscaler --hires-steps --hires-denoise --hires-sampler")]
    [InlineData("--hires 2 --hires-size 512x512", "--hires")]
    [InlineData("--hires-upscaler Lanczos", null, Drawn + ", Denoising strength: 0.5, Hires upscale: 2")]
    [InlineData("--hires-size 512x512 --hires-steps 5", null)]
    [InlineData("--hires 2 --hires-checkpoint other.safetensors", null)]
    [InlineData("--refiner other.safetensors --refiner-switch 0.5", null)]
    public void What_would_do_nothing_is_told(string words, string? told = "--keep-colours", string? picture = null)
    {
        var options = new PictureOptions();
        var given = options.AddTo(new Command("draw")).Parse(words);
        Assert.Empty(given.Errors);
        var problems = new Problems();
        var drawn = picture is null ? null : new ToldPicture("drawn.png", InfotextReader.Read(picture), _ => { });
        options.Apply(given, drawn?.Read.Request ?? new(), problems, drawn);
        Assert.Equal((told ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries).Order(), problems.All.Select(problem => problem.Where).Order());
    }
}
