using Levain.Core;

namespace Levain.Data;

/// <summary>
/// Hands out the batches of each epoch. Like kohya's loader it is one batch ahead: while a step computes, the next batch is already decided, and
/// decoded on another thread. All chance is drawn on the calling thread, in kohya's order, so decoding never disturbs it.
/// </summary>
public sealed class BatchLoader : IDisposable
{
    private readonly Dataset dataset;
    private readonly Func<int, long[]> drawOrder;
    private readonly Func<DatasetPart, SampleDrawer> drawer;
    private readonly Func<BatchPlan, Batch> read;
    private LoaderWorker[] fetchers;
    private bool living;

    private int epoch;
    private long[] order = [];
    private int fetched;
    private (int Batches, int Step)? skip;
    private (BatchPlan Plan, Task<Batch> Batch)? pending;

    /// <param name="dataset">The pictures.</param>
    /// <param name="random">The run's Python generator.</param>
    /// <param name="drawOrder">Draws an epoch's order of so many batches from the run's torch generator; see <see cref="LoaderOrder"/>.</param>
    /// <param name="maxTrainSteps">Optimizer steps of the whole run, for tag warm-ups given as a share.</param>
    /// <param name="latents">Cached latents, if there are any; the caller keeps and disposes them.</param>
    /// <param name="replacements">Texts to replace in captions.</param>
    public BatchLoader(Dataset dataset, PythonRandom random, Func<int, long[]> drawOrder, int maxTrainSteps,
        CachedLatents? latents = null, IReadOnlyList<CaptionReplacement>? replacements = null)
        : this(dataset, random, drawOrder, maxTrainSteps, latents is not null, replacements ?? [], latents is null
            ? plan => BatchReader.Read(dataset.Parts[plan.Part], plan, dataset.Compat)
            : plan => latents.Read(dataset.Parts[plan.Part], plan))
    {
    }

    /// <summary>A loader that turns decisions into batches in a way of its own.</summary>
    internal BatchLoader(Dataset dataset, PythonRandom random, Func<int, long[]> drawOrder, int maxTrainSteps, bool cached, IReadOnlyList<CaptionReplacement> replacements,
        Func<BatchPlan, Batch> read)
    {
        (this.dataset, this.drawOrder, this.read) = (dataset, drawOrder, read);
        drawer = part => new SampleDrawer(part, part.HasMasks && dataset.Compat.MasksApart ? 0 : maxTrainSteps, cached, replacements);
        fetchers = [new(dataset.Parts, random, drawer)];
    }

    /// <summary>kohya's worker processes; null: batches are fetched with the run's own chance.</summary>
    public LoaderWorkers? Workers { get; init; }

    /// <summary>Optimizer steps made; the training loop sets it before each step. Tag warm-ups go by it.</summary>
    public int Step { get; set; }

    /// <summary>Epoch and step as the dataset believed them when the newest batch was fetched; they lag under <see cref="Compat.StaleFirstBatch"/>.</summary>
    public (int Epoch, int Step) Believed { get; private set; }

    /// <summary>The batches of an epoch. The receiver disposes each. A loader that was restored within this epoch goes on where it stood.</summary>
    /// <param name="number">The epoch, from 1.</param>
    /// <exception cref="DatasetException">A picture cannot be read any more.</exception>
    public IEnumerable<Batch> Epoch(int number)
    {
        if (epoch != number)
        {
            Drop();
            (epoch, fetched) = (number, 0);
            order = DrawOrder()[(skip is { } passed ? passed.Batches - 1 : 0)..];
            pending = Fetch();
        }
        while (pending is var (_, task))
        {
            pending = Fetch();
            var batch = task.GetAwaiter().GetResult();
            if (skip is var (_, step))
            {
                // kohya leaves out all but the last of the skipped batches; that one is fetched and thrown away.
                (skip, Step) = (null, step);
                batch.Dispose();
                continue;
            }
            yield return batch;
        }
    }

    /// <summary>Says that pictures were judged just now: without workers, kohya's loader of those tells epoch and step to the pictures that are trained (K-19).</summary>
    public void AfterJudging()
    {
        if (Workers is null && dataset.Compat.StaleFirstBatch) fetchers[0].Believe(epoch, Step, dataset.Seed);
    }

    /// <summary>Passes over the first batches of the next epoch, as kohya does where it goes on in the middle of one.</summary>
    /// <param name="batches">How many, 1 or more.</param>
    /// <param name="step">Optimizer steps that count as made.</param>
    public void SkipTo(int batches, int step) => skip = (batches, step);

    /// <summary>Where the loader stands.</summary>
    public LoaderState Save() => new()
    {
        Epoch = epoch,
        Order = order,
        Fetched = fetched,
        Pending = pending?.Plan,
        Step = Step,
        Living = living,
        Fetchers = [.. fetchers.Select(fetcher => Workers is null ? fetcher.Save() : fetcher.SaveWithChance())],
    };

    /// <summary>Goes on where another loader over the same dataset stood. The generators are restored by their owner.</summary>
    /// <exception cref="DatasetException">The dataset is another one.</exception>
    public void Restore(LoaderState state)
    {
        Drop();
        if (Workers is not null) fetchers = [.. state.Fetchers.Select(saved => Fork(saved.Generator()))];
        foreach (var (fetcher, saved) in fetchers.Zip(state.Fetchers)) fetcher.Restore(saved);
        (epoch, order, fetched, Step, living) = (state.Epoch, state.Order, state.Fetched, state.Step, state.Living);
        pending = state.Pending is { } plan ? Begin(plan) : null;
    }

    /// <summary>Drops the batch that was fetched ahead.</summary>
    public void Dispose() => Drop();

    private (BatchPlan Plan, Task<Batch> Batch)? Fetch()
    {
        if (fetched == order.Length) return null;
        var fetcher = fetchers[fetched % fetchers.Length];
        // kohya tells the dataset epoch and step only after each fetch: the first batch of an epoch is still one of the order before (K-19).
        if (!dataset.Compat.StaleFirstBatch) fetcher.Believe(epoch, Step, dataset.Seed);
        Believed = fetcher.Believed;
        var plan = fetcher.Decide((int)order[fetched++], dataset.Compat);
        if (dataset.Compat.StaleFirstBatch) fetcher.Believe(epoch, Step, dataset.Seed);
        return Begin(plan);
    }

    // Workers begin with the dataset as it was built, since the process that they are copies of never learns of epochs.
    private long[] DrawOrder()
    {
        if (Workers is null) return drawOrder(dataset.BatchCount);
        var begin = !living;
        var (seed, drawn) = Workers.Draw(dataset.BatchCount, begin);
        living = Workers.Persistent && skip is null;        // an epoch of which batches are passed over has a loader, and workers, of its own
        if (begin) fetchers = [.. Enumerable.Range(0, Workers.Count).Select(worker => Fork(new(seed + worker)))];
        return drawn;
    }

    private LoaderWorker Fork(PythonRandom chance) => LoaderWorker.Fork(dataset.Parts, chance, drawer);

    private (BatchPlan, Task<Batch>) Begin(BatchPlan plan) => (plan, Task.Run(() => read(plan)));

    private void Drop()
    {
        if (pending is var (_, task)) task.ContinueWith(done => { if (done.IsCompletedSuccessfully) done.Result.Dispose(); else _ = done.Exception; });
        pending = null;
    }
}
