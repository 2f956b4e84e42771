using Levain.Core;

namespace Levain.Data;

/// <summary>One <c>[[datasets]]</c> table put together: its pictures in buckets, and the order in which an epoch uses them.</summary>
public sealed class DatasetPart
{
    private readonly List<Bucket> buckets = [];
    private readonly List<(int Bucket, int Batch)> batches = [];

    internal DatasetPart(DatasetOptions options, IReadOnlyList<DatasetSubset> subsets, IReadOnlyList<DatasetImage> images, bool isValidation)
    {
        var rule = BucketRule.Of(options);
        (Options, Subsets, IsValidation) = (options, subsets, isValidation);
        Images = [.. images.Select(image => image with { Choice = rule.Choose(image.Size) })];
    }

    private DatasetPart(DatasetPart other)
    {
        (Options, Subsets, IsValidation, Images, Epoch) = (other.Options, other.Subsets, other.IsValidation, other.Images, other.Epoch);
        batches.AddRange(other.batches);
        foreach (var bucket in other.buckets)
        {
            var copy = new Bucket(bucket.Size);
            copy.Images.AddRange(bucket.Images);
            buckets.Add(copy);
        }
    }

    /// <summary>A copy with an order of its own.</summary>
    internal DatasetPart Fork() => new(this);

    /// <summary>What was asked for.</summary>
    public DatasetOptions Options { get; }

    /// <summary>Subsets that have pictures, in order.</summary>
    public IReadOnlyList<DatasetSubset> Subsets { get; }

    /// <summary>All pictures: those of the training subsets, then the regularization pictures that are used.</summary>
    public IReadOnlyList<DatasetImage> Images { get; }

    /// <summary>Whether its loss is masked by pictures of their own.</summary>
    public bool HasMasks => Subsets.Any(subset => subset.Options.ConditioningDataDir is not null);

    /// <summary>Whether this part is for validation.</summary>
    public bool IsValidation { get; }

    /// <summary>Buckets that have pictures, by width and height.</summary>
    public IReadOnlyList<Bucket> Buckets => buckets;

    /// <summary>The batches of an epoch in their present order: which bucket, and which batch of it.</summary>
    public IReadOnlyList<(int Bucket, int Batch)> Batches => batches;

    /// <summary>The last epoch the order was shuffled for; 0 before the first.</summary>
    public int Epoch { get; private set; }

    /// <summary>Training pictures times repeats.</summary>
    public long TrainUses => Subsets.Where(subset => !subset.Options.IsReg).Sum(subset => subset.ImageCount * subset.Options.NumRepeats);

    /// <summary>Regularization pictures times the repeats asked for, before balancing.</summary>
    public long RegUses => Subsets.Where(subset => subset.Options.IsReg).Sum(subset => subset.ImageCount * subset.Options.NumRepeats);

    /// <summary>Mean distance between the aspects of pictures and of their buckets, repeats not counted.</summary>
    public double MeanAspectError => Images.Count == 0 ? 0 : PairwiseSum([.. Images.Select(image => Math.Abs(image.Choice.AspectError))]) / Images.Count;

    // NumPy's order of additions, so that the last digit agrees: eight running sums over at most 128 numbers, halves above.
    private static double PairwiseSum(ReadOnlySpan<double> numbers)
    {
        const int lanes = 8, block = 128;
        if (numbers.Length > block)
        {
            var half = numbers.Length / 2;
            half -= half % lanes;
            return PairwiseSum(numbers[..half]) + PairwiseSum(numbers[half..]);
        }
        var (sum, i) = (0.0, 0);
        if (numbers.Length >= lanes)
        {
            Span<double> running = stackalloc double[lanes];
            for (; i + lanes <= numbers.Length; i += lanes)
                for (var lane = 0; lane < lanes; lane++) running[lane] += numbers[i + lane];
            sum = running[0] + running[1] + (running[2] + running[3]) + (running[4] + running[5] + (running[6] + running[7]));
        }
        for (; i < numbers.Length; i++) sum += numbers[i];
        return sum;
    }

    internal void FillBuckets(PythonRandom random)
    {
        buckets.Clear();
        var bySize = new Dictionary<PixelSize, Bucket>();
        for (var i = 0; i < Images.Count; i++)
        {
            var size = Images[i].Choice.Bucket;
            if (!bySize.TryGetValue(size, out var bucket)) bySize[size] = bucket = new(size);
            bucket.Images.AddRange(Enumerable.Repeat(i, (int)Images[i].Repeats));
        }
        buckets.AddRange(bySize.Values.OrderBy(bucket => bucket.Size.Width).ThenBy(bucket => bucket.Size.Height));
        batches.Clear();
        for (var b = 0; b < buckets.Count; b++)
            batches.AddRange(Enumerable.Range(0, (buckets[b].Images.Count + Options.BatchSize - 1) / Options.BatchSize).Select(batch => (b, batch)));
        // The run's seed is not known to the first shuffle: it always begins with 0.
        Shuffle(0, random);
    }

    /// <summary>Shuffles for each epoch up to <paramref name="epoch"/>, every time in place: orders build on one another.</summary>
    internal void AdvanceTo(int epoch, long seed, PythonRandom random)
    {
        while (Epoch < epoch) Shuffle(seed + ++Epoch, random);
    }

    /// <summary>Indices of the pictures of a batch, and their size.</summary>
    internal (PixelSize Size, IReadOnlyList<int> Images) PicturesOf(int batch)
    {
        var (bucket, index) = batches[batch];
        var images = buckets[bucket].Images;
        var start = index * Options.BatchSize;
        return (buckets[bucket].Size, images[start..Math.Min(start + Options.BatchSize, images.Count)]);
    }

    internal PartState Save() => new(Epoch, [.. batches.SelectMany(batch => new[] { batch.Bucket, batch.Batch })], [.. buckets.Select(bucket => bucket.Images.ToArray())]);

    internal void Restore(PartState state)
    {
        var same = state.Buckets.Length == buckets.Count && state.Batches.Length == 2 * batches.Count
            && state.Buckets.Zip(buckets).All(pair => pair.First.Length == pair.Second.Images.Count);
        if (!same) throw new DatasetException("dataset", "is not the one this run was begun with: its buckets hold other numbers of pictures. Restore the pictures, or begin a new run.");
        Epoch = state.Epoch;
        for (var i = 0; i < batches.Count; i++) batches[i] = (state.Batches[2 * i], state.Batches[2 * i + 1]);
        for (var b = 0; b < buckets.Count; b++)
            for (var i = 0; i < buckets[b].Images.Count; i++) buckets[b].Images[i] = state.Buckets[b][i];
    }

    private void Shuffle(long seed, PythonRandom random)
    {
        random.Seed(seed);
        random.Shuffle(batches);
        foreach (var bucket in buckets) random.Shuffle(bucket.Images);
    }
}

/// <summary>The order of a part of the dataset at one moment.</summary>
/// <param name="Epoch">The last epoch it was shuffled for.</param>
/// <param name="Batches">Bucket and batch of each batch, one behind the other.</param>
/// <param name="Buckets">Pictures of each bucket in order.</param>
public sealed record PartState(int Epoch, int[] Batches, int[][] Buckets);
