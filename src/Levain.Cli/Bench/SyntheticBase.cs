using Levain.Formats;
using Levain.Models;
using Levain.Models.Clip;
using static TorchSharp.torch;

namespace Levain.Cli.Bench;

/// <summary>A base model with made-up weights: the names, shapes and number type of a real file, so that its speed and memory are a real one's.</summary>
/// <param name="Name">Name of its file.</param>
/// <param name="UNet">Sizes of the U-Net.</param>
/// <param name="Vae">Sizes of the autoencoder.</param>
/// <param name="TextEncoder">Sizes of the text encoder.</param>
internal sealed record SyntheticBase(string Name, UNetSpec UNet, VaeSpec Vae, ClipTextSpec TextEncoder)
{
    // Small enough that no layer's output grows much over its input; the norms do the rest.
    private const double Deviation = 0.02;

    /// <summary>Stable Diffusion 1.5, full size.</summary>
    public static SyntheticBase Full { get; } = new("sd15", UNetSpec.Sd1, VaeSpec.Sd1, ClipTextSpec.ClipL);

    /// <summary>A model of the same kind with 32 to 64 channels, whose steps cost operations, not arithmetic.</summary>
    public static SyntheticBase Tiny { get; } = new("tiny",
        UNetSpec.Sd1 with { Channels = [32, 64, 64, 64], Context = 64 },
        VaeSpec.Sd1 with { Channels = [32, 64, 64, 64] },
        ClipTextSpec.ClipL with { Width = 64, InnerWidth = 256, Layers = 4 });

    /// <summary>The shapes of its tensors, by their names in a single file.</summary>
    public IReadOnlyDictionary<string, long[]> Shapes()
    {
        var shapes = new Dictionary<string, long[]>(StringComparer.Ordinal);
        Add(ModelPart.UNet, new UNet(UNet, Compute.Cpu));
        Add(ModelPart.Vae, new Vae(Vae, Compute.Cpu));
        Add(ModelPart.TextEncoder, new ClipTextModel(TextEncoder, Compute.Cpu));
        return shapes;

        // Memory that is allocated and never written to takes none.
        void Add(ModelPart part, nn.Module module)
        {
            using var owned = module;
            foreach (var (name, weight) in module.named_parameters())
            {
                var (key, transform, _) = KeyMap.Sd1.ToSingleFile(part, name)!.Value;
                shapes.Add(key, transform == KeyTransform.Squeeze ? [.. weight.shape, 1, 1] : weight.shape);
            }
        }
    }

    /// <summary>Writes the file, fp16.</summary>
    /// <returns>Its path.</returns>
    public string Write(string folder)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var shapes = Shapes();
        // Every matrix is the beginning of the same numbers: what they are makes no difference to speed.
        var numbers = arange(shapes.Values.Max(Elements), dtype: ScalarType.Float32).mul_(12.9898f).sin_().mul_(Deviation * Math.Sqrt(2)).to_type(ScalarType.Float16);
        var (units, nothing) = (ones(shapes.Values.Where(shape => shape.Length == 1).Max(Elements), dtype: ScalarType.Float16), zeros(shapes.Values.Where(shape => shape.Length == 1).Max(Elements), dtype: ScalarType.Float16));
        var path = Path.Combine(folder, Name + ".safetensors");
        Safetensors.Write(path, [.. shapes.Select(shape => new KeyValuePair<string, Tensor>(shape.Key, Values(shape.Key, shape.Value)))], null);
        return path;

        Tensor Values(string name, long[] shape) =>
            (shape.Length > 1 ? numbers : name.EndsWith(".weight", StringComparison.Ordinal) ? units : nothing).narrow(0, 0, Elements(shape)).view(shape);
    }

    private static long Elements(long[] shape) => shape.Aggregate(1L, (product, side) => product * side);
}
