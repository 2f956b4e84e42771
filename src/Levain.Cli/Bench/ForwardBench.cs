using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Cli.Bench;

internal static partial class Benches
{
    /// <summary>The U-Net as a sampler runs it.</summary>
    public static Bench Forward { get; } = new("forward", "One U-Net pass of SD 1.5 at 512 px with guidance", SyntheticBase.Full, Lean: false, MeasureForward);

    private static IEnumerable<BenchRow> MeasureForward(BenchScene scene)
    {
        const int Batch = 2, Cells = 64, Tokens = 77;
        const double TeraFlop = 0.804;                  // of one latent
        const float Timestep = 500;
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        using var model = StableDiffusion.Open(scene.BasePath, scene.Compute);
        var x = sin(arange(Batch * 4 * Cells * Cells, dtype: ScalarType.Float32)).view(Batch, 4, Cells, Cells).to(scene.Compute.Device);
        var context = cos(arange(Batch * Tokens * model.UNet.Spec.Context, dtype: ScalarType.Float32)).view(Batch, Tokens, -1).to(scene.Compute.Device);
        var times = full([Batch], Timestep, ScalarType.Float32);
        var seconds = scene.Fastest(() => model.UNet.call(x, times, context).Dispose());
        yield return new($"U-Net pass, SD 1.5, 512 px, batch {Batch}", seconds) { TeraFlop = Batch * TeraFlop, PeakBytes = scene.PeakBytes };
    }
}
