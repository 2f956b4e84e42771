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
    [InlineData("--hires 2 --hires-checkpoint other.safetensors", null)]
    [InlineData("--refiner other.safetensors --refiner-switch 0.5", null)]
    public void What_would_do_nothing_is_told(string words, string? told = "--keep-colours", string? picture = null)
    {
        var options = new PictureOptions();
        var given = options.AddTo(new Command("draw")).Parse(words);
        Assert.Empty(given.Errors);
        var problems = new Problems();
        options.Apply(given, new(), problems, picture is null ? null : new("drawn.png", InfotextReader.Read(picture), _ => { }));
        Assert.Equal(told is null ? [] : [told], problems.All.Select(problem => problem.Where));
    }
}
