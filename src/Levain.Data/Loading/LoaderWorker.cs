using Levain.Core;

namespace Levain.Data;

/// <summary>Whoever fetches batches: an order of the pictures, what it believes of epoch and step, and a source of chance.</summary>
internal sealed class LoaderWorker(IReadOnlyList<DatasetPart> parts, PythonRandom random, Func<DatasetPart, SampleDrawer> drawer)
{
    private readonly SampleDrawer[] drawers = [.. parts.Select(drawer)];

    /// <summary>One with an order of its own.</summary>
    public static LoaderWorker Fork(IEnumerable<DatasetPart> parts, PythonRandom chance, Func<DatasetPart, SampleDrawer> drawer) => new([.. parts.Select(part => part.Fork())], chance, drawer);

    /// <summary>Epoch and step as its copy of the dataset knows them.</summary>
    public (int Epoch, int Step) Believed { get; private set; }

    /// <summary>Tells it epoch and step: its order is shuffled for every epoch that begins.</summary>
    public void Believe(int epoch, int step, long seed)
    {
        foreach (var part in parts) part.AdvanceTo(epoch, seed, random);
        Believed = (epoch, step);
    }

    /// <summary>Decides a batch of the epoch, given by its index over all parts.</summary>
    public BatchPlan Decide(int index, Compat compat)
    {
        var (p, local) = (0, index);
        while (local >= parts[p].Batches.Count) local -= parts[p++].Batches.Count;
        var (size, images) = parts[p].PicturesOf(local);
        var (epoch, step) = parts[p].HasMasks && compat.MasksApart ? (0, 0) : Believed;
        return new(p, index, size, [.. images.Select(image => drawers[p].Draw(image, size, epoch, step, random))]);
    }

    /// <summary>Where it stands; its chance is left out, which belongs to its owner.</summary>
    public WorkerState Save() => new(Believed, [.. parts.Select(part => part.Save())], [.. drawers.Select(one => one.WarmupSteps)]);

    /// <summary>Where it stands, with chance that is its own.</summary>
    public WorkerState SaveWithChance() => Save() with { Words = [.. random.Twister.State], Index = random.Twister.Index };

    /// <summary>Goes on where another stood.</summary>
    /// <exception cref="DatasetException">The dataset is another one.</exception>
    public void Restore(WorkerState state)
    {
        if (state.Parts.Length != parts.Count) throw new DatasetException("dataset", "is not the one this run was begun with: it has another number of parts.");
        foreach (var (part, saved) in parts.Zip(state.Parts)) part.Restore(saved);
        foreach (var (one, saved) in drawers.Zip(state.WarmupSteps)) one.WarmupSteps = saved;
        Believed = state.Believed;
    }
}

/// <summary>Where a fetcher of batches stands.</summary>
/// <param name="Believed">Epoch and optimizer step as it believes them.</param>
/// <param name="Parts">Order of each part.</param>
/// <param name="WarmupSteps">Steps of the tag warm-up of each subset of each part.</param>
/// <param name="Words">Words of its own generator; null where it uses the run's.</param>
/// <param name="Index">Place in <paramref name="Words"/>.</param>
public sealed record WorkerState((int Epoch, int Step) Believed, PartState[] Parts, double[][] WarmupSteps, uint[]? Words = null, int Index = 0)
{
    /// <summary>Its own generator.</summary>
    internal PythonRandom Generator() => new(Words is null ? new MersenneTwister(0) : new MersenneTwister(Words, Index));
}

/// <summary>kohya's worker processes, whose orders and chance are apart from the run's (K-20).</summary>
/// <param name="Count">How many; 0: none, batches are fetched by the run itself.</param>
/// <param name="Persistent">Whether they live through all epochs instead of beginning anew with each.</param>
/// <param name="Draw">Draws an epoch's order of so many batches, and before it a seed for workers where they begin.</param>
public sealed record LoaderWorkers(int Count, bool Persistent, Func<int, bool, (long WorkerSeed, long[] Order)> Draw);
