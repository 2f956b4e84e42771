using Levain.Core;

namespace Levain.Data;

/// <summary>Hands out batches always in the same order, as kohya's loader without a shuffle does: one batch ahead. Orders of epochs are left alone.</summary>
public sealed class ValidationLoader
{
    private readonly Dataset dataset;
    private readonly IReadOnlyList<DatasetPart> parts;
    private readonly CachedLatents? latents;
    private readonly SampleDrawer[] drawers;

    /// <param name="dataset">The pictures.</param>
    /// <param name="maxTrainSteps">Optimizer steps of the whole run, for tag warm-ups given as a share.</param>
    /// <param name="latents">Cached latents, if there are any; the caller keeps and disposes them.</param>
    /// <param name="parts">Which parts; null: those that are set aside.</param>
    public ValidationLoader(Dataset dataset, int maxTrainSteps, CachedLatents? latents = null, IReadOnlyList<DatasetPart>? parts = null)
    {
        (this.dataset, this.latents, this.parts) = (dataset, latents, parts ?? dataset.Validation);
        drawers = [.. this.parts.Select(part => new SampleDrawer(part, maxTrainSteps, latents is not null, []))];
    }

    /// <summary>Batches of a pass.</summary>
    public int BatchCount => parts.Sum(part => part.Batches.Count);

    /// <summary>The first batches. The receiver disposes each.</summary>
    /// <param name="count">How many at most.</param>
    /// <param name="random">A generator of this pass alone.</param>
    /// <exception cref="DatasetException">A picture cannot be read any more.</exception>
    public IEnumerable<Batch> Batches(int count, PythonRandom random)
    {
        var plans = parts.SelectMany((part, p) => Enumerable.Range(0, part.Batches.Count).Select(batch => (Part: p, Batch: batch))).ToList();
        var next = plans.Count > 0 ? Decide(0) : null;
        for (var i = 0; i < Math.Min(count, plans.Count); i++)
        {
            var plan = next!;
            next = i + 1 < plans.Count ? Decide(i + 1) : null;
            yield return latents?.Read(parts[plan.Part], plan) ?? BatchReader.Read(parts[plan.Part], plan, dataset.Compat);
        }

        BatchPlan Decide(int index)
        {
            var (p, batch) = plans[index];
            var (size, images) = parts[p].PicturesOf(batch);
            return new(p, index, size, [.. images.Select(image => drawers[p].Draw(image, size, 0, 0, random))]);
        }
    }
}
