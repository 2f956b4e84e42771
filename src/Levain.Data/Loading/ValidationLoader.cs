using Levain.Core;

namespace Levain.Data;

/// <summary>Hands out batches always in the same order, as kohya's loader without a shuffle does: one batch ahead. Orders of epochs are left alone, but by workers.</summary>
public sealed class ValidationLoader
{
    // Batches that torch's loader asks each worker for ahead of the one it waits for.
    private const int AheadOfEach = 2;

    private readonly Dataset dataset;
    private readonly IReadOnlyList<DatasetPart> parts;
    private readonly CachedLatents? latents;
    private readonly Func<DatasetPart, SampleDrawer> drawer;
    private LoaderWorker[]? living;

    /// <param name="dataset">The pictures.</param>
    /// <param name="maxTrainSteps">Optimizer steps of the whole run, for tag warm-ups given as a share.</param>
    /// <param name="latents">Cached latents, if there are any; the caller keeps and disposes them.</param>
    /// <param name="parts">Which parts; null: those that are set aside.</param>
    public ValidationLoader(Dataset dataset, int maxTrainSteps, CachedLatents? latents = null, IReadOnlyList<DatasetPart>? parts = null)
    {
        (this.dataset, this.latents, this.parts) = (dataset, latents, parts ?? dataset.Validation);
        drawer = part => new(part, part.IsValidation && dataset.Compat.ValidationVaries ? 0 : maxTrainSteps, latents is not null, []);     // K-21b: never told of steps
    }

    /// <summary>kohya's worker processes, and whether they live through all passes; 0: batches are fetched with the chance of the pass.</summary>
    public (int Count, bool Persistent) Workers { get; init; }

    /// <summary>Batches of a pass.</summary>
    public int BatchCount => parts.Sum(part => part.Batches.Count);

    /// <summary>The first batches. The receiver disposes each.</summary>
    /// <param name="count">How many at most.</param>
    /// <param name="random">A generator of this pass alone.</param>
    /// <exception cref="DatasetException">A picture cannot be read any more.</exception>
    public IEnumerable<Batch> Batches(int count, PythonRandom random) => Batches(count, [new(parts, random, drawer)], null);

    /// <summary>The first batches as workers fetch them, who learn of epoch and step only with their first one (K-19). The receiver disposes each.</summary>
    /// <param name="count">How many at most.</param>
    /// <param name="seed">Draws the seed of workers; called where they begin.</param>
    /// <param name="now">Epoch and step of the run.</param>
    /// <exception cref="DatasetException">A picture cannot be read any more.</exception>
    public IEnumerable<Batch> Batches(int count, Func<long> seed, (int Epoch, int Step) now)
    {
        var workers = living ?? Begin(seed());
        if (Workers.Persistent) living = workers;
        return Batches(count, workers, now);
    }

    /// <summary>Where workers stand that live through all passes; null where there are none.</summary>
    public IReadOnlyList<WorkerState>? Save() => living is null ? null : [.. living.Select(worker => worker.SaveWithChance())];

    /// <summary>Goes on where another loader over the same dataset stood.</summary>
    /// <exception cref="DatasetException">The dataset is another one.</exception>
    public void Restore(IReadOnlyList<WorkerState>? state)
    {
        living = state is null ? null : [.. state.Select(saved => LoaderWorker.Fork(parts, saved.Generator(), drawer))];
        foreach (var (worker, saved) in (living ?? []).Zip(state ?? [])) worker.Restore(saved);
    }

    private LoaderWorker[] Begin(long seed) => [.. Enumerable.Range(0, Workers.Count).Select(worker => LoaderWorker.Fork(parts, new(seed + worker), drawer))];

    private IEnumerable<Batch> Batches(int count, LoaderWorker[] fetchers, (int Epoch, int Step)? now)
    {
        var total = BatchCount;
        var used = Math.Min(count, total);
        var next = used > 0 ? Decide(0) : null;
        for (var i = 0; i < used; i++)
        {
            var plan = next!;
            next = i + 1 < total ? Decide(i + 1) : null;
            yield return latents?.Read(parts[plan.Part], plan) ?? BatchReader.Read(parts[plan.Part], plan, dataset.Compat);
        }
        // Of a pass that is broken off, workers fetch what they were asked for all the same: one batch is looked at in vain, one waits, the others are on their way.
        if (living is null) yield break;
        for (var i = used + 1; i < Math.Min(total, used + 2 + AheadOfEach * fetchers.Length); i++) Decide(i);

        BatchPlan Decide(int index)
        {
            var fetcher = fetchers[index % fetchers.Length];
            var plan = fetcher.Decide(index, dataset.Compat);
            if (now is var (epoch, step)) fetcher.Believe(epoch, step, dataset.Seed);
            return plan;
        }
    }
}
