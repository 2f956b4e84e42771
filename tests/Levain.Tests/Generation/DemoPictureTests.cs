using Levain.Core;
using Levain.Generation;
using Levain.Models;
using Xunit;
using static TorchSharp.torch;

namespace Levain.Tests.Generation;

public sealed class DemoPictureTests(ITestOutputHelper output)
{
    private const double LatentTolerance = 5e-4, PixelShare = 1e-4;       // tests/golden/demo/README.md

    private static string Base => Path.GetFullPath(Golden.Path("..", "..", "assets", "demo", "tiny-base.safetensors"));

    [Fact]
    public void The_embedded_base_draws_the_recorded_pictures()
    {
        using var scope = NewDisposeScope();
        var golden = new GoldenTensors("demo", "expected.safetensors");
        using var model = StableDiffusion.Open(Base, Compute.Cpu);
        using var pipeline = new GenerationPipeline(model);
        var worst = 0.0;
        foreach (var row in Golden.Json("demo", "expected.json").EnumerateArray())
        {
            var name = row.GetProperty("name").GetString()!;
            var request = new GenerationRequest
            {
                Prompt = row.GetProperty("prompt").GetString()!,
                NegativePrompt = row.GetProperty("negative").GetString()!,
                Seed = row.GetProperty("seed").GetInt64(),
                Sampler = row.GetProperty("sampler").GetString()!,
                Steps = row.GetProperty("steps").GetInt32(),
                CfgScale = row.GetProperty("cfg").GetDouble(),
                Size = new(row.GetProperty("size")[0].GetInt32(), row.GetProperty("size")[1].GetInt32()),
            };
            var latent = pipeline.DrawLatent(request);
            var off = (latent - golden[name].view(latent.shape)).abs().max().item<float>();
            worst = Math.Max(worst, off);
            Assert.True(off <= LatentTolerance, $"{name}: latent off by {off}");

            var picture = Picture.Of(pipeline.Decode(latent));
            var expected = golden[$"{name}.rgb"];
            if (expected.shape[^1] != 3) expected = expected.permute(1, 2, 0).contiguous();
            var bytes = expected.flatten().to(ScalarType.Byte).data<byte>().ToArray();
            Assert.Equal(bytes.Length, picture.Rgb.Length);
            Assert.True(bytes.Zip(picture.Rgb).Count(pair => Math.Abs(pair.First - pair.Second) > 1) <= PixelShare * bytes.Length, $"{name}: pixels");
        }
        output.WriteLine($"latents within {worst:G3}");
    }

    [Fact]
    public void A_request_that_cannot_be_drawn_says_everything_at_once()
    {
        using var model = StableDiffusion.Open(Base, Compute.Cpu);
        using var pipeline = new GenerationPipeline(model);
        var refusal = Assert.Throws<SettingsException>(() => pipeline.Draw(new() { Sampler = "eulr", Size = new(130, 128), Steps = 0 }));
        Assert.Contains("sampler: is 'eulr'. Did you mean 'Euler'", refusal.Message);
        Assert.Contains("size: is 130x128, and sides are multiples of 8 px. Use 128x128.", refusal.Message);
        Assert.Contains("steps: is 0.", refusal.Message);
    }

    [Fact]
    public void A_picture_can_be_stopped_between_steps()
    {
        using var model = StableDiffusion.Open(Base, Compute.Cpu);
        using var pipeline = new GenerationPipeline(model);
        using var stop = new CancellationTokenSource();
        var steps = 0;
        Assert.Throws<OperationCanceledException>(() => pipeline.Draw(new() { Prompt = "1girl", Size = new(128, 128) }, new Watch(progress =>
        {
            steps = progress.Step;
            if (progress.Step == 3) stop.Cancel();
        }), stop.Token));
        Assert.Equal(3, steps);
    }

    private sealed class Watch(Action<GenerationProgress> see) : IProgress<GenerationProgress>
    {
        public void Report(GenerationProgress value) => see(value);
    }
}
