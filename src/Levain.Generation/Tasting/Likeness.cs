using static TorchSharp.torch;

namespace Levain.Generation;

/// <summary>How much of one set of pictures is found again in another, measured without any model.</summary>
/// <remarks>
/// A picture is reduced to 24 cells along its longer side by averaging; every 3×3 cells are a patch of 27 numbers (red, green, blue, 0..1). For each patch of the training
/// pictures the nearest patch of the drawn ones is looked for; likeness is 1 minus the mean root-mean-square distance, counting the patches least like their own set's
/// mean colour twice as much as the plainest: what is peculiar to a subject is rare in its pictures. It sees palette and shapes, not who is in a picture: compare numbers of one
/// prompt set only.
/// </remarks>
public sealed class Likeness : IDisposable
{
    private const int Cells = 24, Side = 3, Channels = 3, AtOnce = 4096;

    private readonly Tensor patches;       // [N, 27]

    private Likeness(Tensor patches) => this.patches = patches;

    /// <summary>The patches of a set of pictures.</summary>
    /// <exception cref="ArgumentException">There is no picture.</exception>
    public static Likeness Of(IReadOnlyCollection<Picture> pictures)
    {
        if (pictures.Count == 0) throw new ArgumentException("There is no picture.", nameof(pictures));
        using var scope = NewDisposeScope();
        return new(cat([.. pictures.Select(Patches)]).DetachFromDisposeScope());
    }

    /// <summary>How much of these pictures is found in the others, 0 to 1.</summary>
    public double In(Likeness others)
    {
        using var scope = NewDisposeScope();
        var weights = (patches - patches.mean([0], keepdim: true)).square().mean([1]).sqrt();
        weights = 1 + weights / weights.max().clamp_min(1e-6);
        var nearest = new List<Tensor>();
        for (var start = 0L; start < patches.shape[0]; start += AtOnce)
        {
            var part = patches.narrow(0, start, Math.Min(AtOnce, patches.shape[0] - start));
            var distances = part.square().sum(1).unsqueeze(1) + others.patches.square().sum(1).unsqueeze(0) - part.mm(others.patches.t()) * 2;      // [n, M]
            nearest.Add(distances.min(1).values.clamp_min(0).div(patches.shape[1]).sqrt());
        }
        return 1 - (cat(nearest) * weights).sum().div(weights.sum()).item<float>();
    }

    /// <inheritdoc/>
    public void Dispose() => patches.Dispose();

    private static Tensor Patches(Picture picture)
    {
        var longer = Math.Max(picture.Size.Width, picture.Size.Height);
        long cells(int side) => Math.Max(Side, (long)Math.Round((double)Cells * side / longer));
        using var scope = NewDisposeScope();
        var image = tensor(picture.Rgb).view(picture.Size.Height, picture.Size.Width, Channels).permute(2, 0, 1).to_type(ScalarType.Float32).div(byte.MaxValue);
        var small = nn.functional.adaptive_avg_pool2d(image.unsqueeze(0), [cells(picture.Size.Height), cells(picture.Size.Width)]);
        return nn.functional.unfold(small, Side)[0].t().contiguous().MoveToOuterDisposeScope();
    }
}
