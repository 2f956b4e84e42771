
namespace Levain.Models;

/// <summary>
/// How many numbers of torch's generator kohya's trainer consumes by loading a model: it initialises every module before it puts the file's weights
/// in. A run that is to match needs the generator to stand where kohya's stands.
/// </summary>
/// <remarks>
/// From a single file: one per element of every linear and convolution weight and bias of U-Net and VAE; in the text encoder two per element of the
/// embeddings and linear weights (normal distribution) and one per linear bias. Norms draw nothing. From a diffusers folder only the U-Net is
/// initialised. A VAE of its own, in a single file, is initialised besides the one it replaces.
/// </remarks>
internal sealed class InitialDraws
{
    private readonly Lazy<long> count;

    public InitialDraws(CheckpointSource source, string? vaePath) => count = new(() => CountFor(source, vaePath));

    public long Count => count.Value;

    private static long CountFor(CheckpointSource source, string? vaePath)
    {
        var unet = Of(source, ModelPart.UNet, 1);
        if (Directory.Exists(source.Path)) return unet + (OwnVae(vaePath) ? Of(source, ModelPart.Vae, 1) : 0);
        return unet + Of(source, ModelPart.Vae, 1) * (OwnVae(vaePath) ? 2 : 1) + Of(source, ModelPart.TextEncoder, 2);
    }

    private static bool OwnVae(string? path) => path is not null && !Directory.Exists(path);

    private static long Of(CheckpointSource source, ModelPart part, long perWeight) =>
        Of(source.Names(part).ToDictionary(name => name, name => source.ShapeOf(part, name)), perWeight);

    /// <summary>Numbers drawn for one component.</summary>
    /// <param name="shapes">Its tensors.</param>
    /// <param name="perWeight">Numbers per element of a matrix: 1 for a uniform, 2 for a normal distribution.</param>
    internal static long Of(IReadOnlyDictionary<string, long[]> shapes, long perWeight)
    {
        const string Weight = ".weight", Bias = ".bias";
        long sum = 0;
        foreach (var (name, shape) in shapes)
        {
            if (shape.Length < 2 || !name.EndsWith(Weight, StringComparison.Ordinal)) continue;      // norms, and biases, which follow their weight
            sum += perWeight * Elements(shape);
            if (shapes.TryGetValue(name[..^Weight.Length] + Bias, out var bias)) sum += Elements(bias);
        }
        return sum;
    }

    private static long Elements(long[] shape) => shape.Aggregate(1L, (product, side) => product * side);
}
