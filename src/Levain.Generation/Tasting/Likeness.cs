using static TorchSharp.torch;

namespace Levain.Generation;

/// <summary>How much of what training pictures have and the base's pictures lack is found in drawn ones.</summary>
/// <remarks>
/// Places of pictures are compared by what the base's U-Net sees in them (<see cref="PictureFeatures"/>), each feature freed of its mean over the training pictures and in units of its
/// deviation there; two places are as alike as the cosine between them. Every place of the training pictures looks for the drawn place most like it, and counts by how little was like it
/// in the base's pictures: backgrounds that anyone draws count little, what is peculiar to the subject counts much. Likeness is 0 where no more is found than in the base's pictures and
/// 1 where as much is found as in the other training pictures. It sees parts, not who is in a picture; a network that draws them too strongly finds less again.
/// </remarks>
internal sealed class Likeness : IDisposable
{
    private const int AtOnce = 2048;
    private const double LeastRange = 0.01;      // where the base finds all but this there is nothing to learn

    private readonly Tensor mean, deviation, places, others;     // [1, C], [1, C], [N, C], [N]

    /// <param name="training">Features of each training picture, [cells, C].</param>
    public Likeness(IReadOnlyList<Tensor> training)
    {
        if (training.Count == 0) throw new ArgumentException("There is no picture.", nameof(training));
        using var scope = NewDisposeScope();
        var all = cat([.. training]);
        (mean, deviation) = (all.mean([0L], keepdim: true), all.std(0, unbiased: false, keepdim: true).clamp_min(1e-6));
        var own = training.Select(Compared).ToList();
        places = cat(own);
        others = own.Count == 1 ? ones(places.shape[0]) : cat([.. own.Select((picture, i) => Nearest(picture, cat([.. own.Where((_, j) => j != i)])))]);
        foreach (var kept in new[] { mean, deviation, places, others }) kept.DetachFromDisposeScope();
    }

    /// <summary>How much is found in each set of pictures beyond what is found in the base's.</summary>
    /// <param name="own">Features of the base's pictures.</param>
    /// <param name="drawn">Features of drawn pictures, set by set.</param>
    public IReadOnlyList<double> Of(IReadOnlyList<Tensor> own, IEnumerable<IReadOnlyList<Tensor>> drawn)
    {
        using var scope = NewDisposeScope();
        var before = Found(own);
        var weights = (1 - before).clamp_min(0) + 1e-6;
        var (least, most) = (Weighted(before), Weighted(others));
        return [.. drawn.Select(set => (Weighted(Found(set)) - least) / Math.Max(most - least, LeastRange))];

        double Weighted(Tensor values)
        {
            using var inner = NewDisposeScope();
            return (values * weights).sum().div(weights.sum()).item<float>();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var kept in new[] { mean, deviation, places, others }) kept.Dispose();
    }

    /// <summary>How like the drawn place most like it is, for each place of the training pictures, −1..1.</summary>
    private Tensor Found(IReadOnlyList<Tensor> pictures)
    {
        using var scope = NewDisposeScope();
        return Nearest(places, cat([.. pictures.Select(Compared)])).MoveToOuterDisposeScope();
    }

    private static Tensor Nearest(Tensor from, Tensor among)
    {
        using var scope = NewDisposeScope();
        var best = new List<Tensor>();
        for (var start = 0L; start < from.shape[0]; start += AtOnce)
        {
            using var part = NewDisposeScope();
            best.Add(from.narrow(0, start, Math.Min(AtOnce, from.shape[0] - start)).mm(among.t()).max(1).values.MoveToOuterDisposeScope());
        }
        return cat(best).MoveToOuterDisposeScope();
    }

    private Tensor Compared(Tensor features)
    {
        using var scope = NewDisposeScope();
        var centred = (features - mean) / deviation;
        return (centred / centred.norm(1, keepdim: true).clamp_min(1e-6)).MoveToOuterDisposeScope();
    }
}
