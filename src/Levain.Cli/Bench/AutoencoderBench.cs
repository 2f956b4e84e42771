using Levain.Models;
using static TorchSharp.torch;

namespace Levain.Cli.Bench;

internal static partial class Benches
{
    /// <summary>Latent to picture.</summary>
    public static Bench Decode { get; } = new("decode", "The autoencoder's way back to a 512 px picture", SyntheticBase.Full, Lean: false, MeasureDecode);

    /// <summary>Picture to latent.</summary>
    public static Bench Encode { get; } = new("encode", "The autoencoder's way from a 512 px picture to its latent", SyntheticBase.Full, Lean: false, MeasureEncode);

    private const int PictureSide = 512;

    private static IEnumerable<BenchRow> MeasureDecode(BenchScene scene)
    {
        const double TeraFlop = 2.515;
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        using var model = StableDiffusion.Open(scene.BasePath, scene.Compute);
        var cells = PictureSide / 8;
        var latent = sin(arange(4 * cells * cells, dtype: ScalarType.Float32)).view(1, 4, cells, cells);
        var seconds = scene.Fastest(() => model.Vae.Decode(latent).Dispose());
        yield return new($"VAE decode, SD 1.5, {PictureSide} px", seconds) { TeraFlop = TeraFlop, PeakBytes = scene.PeakBytes };
    }

    private static IEnumerable<BenchRow> MeasureEncode(BenchScene scene)
    {
        const double TeraFlop = 1.117;
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        using var model = StableDiffusion.Open(scene.BasePath, scene.Compute);
        var picture = sin(arange(3 * PictureSide * PictureSide, dtype: ScalarType.Float32)).view(1, 3, PictureSide, PictureSide);
        var seconds = scene.Fastest(() =>
        {
            var (mean, logVariance) = model.Vae.Encode(picture);
            mean.Dispose();
            logVariance.Dispose();
        });
        yield return new($"VAE encode, SD 1.5, {PictureSide} px", seconds) { TeraFlop = TeraFlop, PeakBytes = scene.PeakBytes };
    }
}
