using Levain.Generation;
using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Cli.Bench;

internal static partial class Benches
{
    /// <summary>A whole picture.</summary>
    public static Bench Draw { get; } = new("draw", "Draw a 512 px picture of SD 1.5 with guidance, from the prompt to the pixels", SyntheticBase.Full, Lean: false, MeasureDraw);

    private static IEnumerable<BenchRow> MeasureDraw(BenchScene scene)
    {
        const int Steps = 2;
        const double TeraFlop = Steps * 2 * 0.804 + 2.515;              // passes, decoding
        using var scope = NewDisposeScope();
        using var model = StableDiffusion.Open(scene.BasePath, scene.Compute);
        using var pipeline = new GenerationPipeline(model);
        var request = new GenerationRequest { Prompt = "a drawn picture", Sampler = "Euler", Steps = Steps, Size = new(PictureSide, PictureSide) };
        var seconds = scene.Fastest(() => pipeline.Draw(request));
        yield return new($"a picture, SD 1.5, {PictureSide} px, {Steps} steps", seconds) { TeraFlop = TeraFlop, PeakBytes = scene.PeakBytes };
    }
}
