using Levain.Core;
using static TorchSharp.torch;

namespace Levain.Models;

/// <summary>Where the tensors of one component (U-Net, VAE, text encoder) come from, by internal name: a file, or a test's formula.</summary>
/// <param name="Path">The file, as messages name it.</param>
/// <param name="ShapeOf">Shape of a tensor, or null where there is none of that name.</param>
/// <param name="CopyTo">Writes a tensor into the given one, which has its shape, converting to its type.</param>
public sealed record ComponentWeights(string Path, Func<string, long[]?> ShapeOf, Action<string, Tensor> CopyTo)
{
    /// <summary>The file's own pages of a tensor, read-only, in the type they are stored in; null where everything is copied. The caller's scope owns the tensor.</summary>
    public Func<string, Tensor>? View { get; init; }

    /// <summary>One part of a checkpoint.</summary>
    public static ComponentWeights Of(CheckpointSource source, ModelPart part) => new(
        source.Path, name => source.Has(part, name) ? source.ShapeOf(part, name) : null, (name, weight) => source.CopyTo(part, name, weight))
    { View = name => source.View(part, name) };

    /// <summary>Whether there is a tensor of this name.</summary>
    public bool Has(string name) => ShapeOf(name) is not null;

    /// <summary>The shape of a tensor the component cannot do without.</summary>
    /// <exception cref="CheckpointException">There is no such tensor.</exception>
    public long[] Shape(string name) =>
        ShapeOf(name) ?? throw new CheckpointException(Path, "is missing: the file is not a complete Stable Diffusion checkpoint. Look at it with: levain inspect", name);

    /// <summary>Fills every weight of a module.</summary>
    /// <param name="mapped">Weights of this type are not copied where the file's pages can be used as they are: nothing may write to them. Null: all are copied.</param>
    /// <exception cref="CheckpointException">A tensor is missing or has another shape.</exception>
    public void Fill(nn.Module module, ScalarType? mapped = null)
    {
        using var frozen = no_grad();
        foreach (var (name, weight) in module.named_parameters())
        {
            var shape = Shape(name);
            if (!shape.AsSpan().SequenceEqual(weight.shape))
                throw new CheckpointException(Path, $"has the shape [{string.Join(", ", shape)}] where [{string.Join(", ", weight.shape)}] belongs.", name);
            if (weight.dtype != mapped || !Adopts(name, weight)) CopyTo(name, weight);
        }
    }

    private bool Adopts(string name, Tensor weight)
    {
        if (View is null || weight.device_type != TorchSharp.DeviceType.CPU) return false;
        using var scope = NewDisposeScope();
        var pages = View(name);
        if (pages.dtype != weight.dtype || !pages.is_contiguous()) return false;
        weight.set_(pages);
        return true;
    }
}
