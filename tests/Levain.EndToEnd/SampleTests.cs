using System.Text;
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
        Assert.Contains("1girl, solo\nSteps: 2, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7, Seed: 7, Size: 64x64, Model: tiny-base, RNG: CPU", text);
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
    public void Everything_that_is_wrong_is_told_before_a_model_is_opened()
    {
        var outcome = LevainProcess.Run(folder, "sample", "--base", "nowhere.safetensors", "--lora", "missing.safetensors:0.5", "--prompt", "a", "--sampler", "eulr", "--size", "100x100", "--seed", "a");
        Assert.Equal(2, outcome.Code);
        Assert.Contains("Did you mean 'Euler'", outcome.Error);
        Assert.Contains("Use 96x96", outcome.Error);
        Assert.Contains("--seed: holds 'a'", outcome.Error);
        Assert.Contains("missing.safetensors: is not there", outcome.Error);
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);
}
