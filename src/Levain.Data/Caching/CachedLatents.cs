using Levain.Core;
using static TorchSharp.torch;

namespace Levain.Data;

/// <summary>Latents of a dataset, encoded once before training.</summary>
public sealed class CachedLatents : IDisposable
{
    private sealed record Entry(Tensor Latents, Tensor? Flipped, Tensor? Mask) : IDisposable
    {
        public void Dispose()
        {
            Latents.Dispose();
            Flipped?.Dispose();
            Mask?.Dispose();
        }
    }

    // A picture on its way through the encoder.
    private sealed record Job(int Image, PixelSize Size, Sample Upright, Sample? Mirrored, bool Alpha, string? Interpolation);

    private readonly Dictionary<(DatasetPart Part, int Image), Entry> entries = [];
    private readonly Dictionary<string, Entry> byFile = [];             // K-64: what a kohya file holds after this run's last write
    private readonly Dictionary<(DatasetPart Part, int Image), string> fileOf = [];
    private readonly List<Entry> replaced = [];

    private readonly Compat compat;

    private CachedLatents(Compat compat) => this.compat = compat;

    /// <summary>How many latents were found on disk instead of being encoded; mirrored ones count apart.</summary>
    public int Found { get; private set; }

    /// <summary>How many latents were encoded.</summary>
    public int Encoded { get; private set; }

    /// <summary>Encodes all pictures of a dataset, part by part, by bucket area, as kohya does: the numbers of the run's generator are drawn in its order.</summary>
    /// <param name="parts">The parts of the dataset.</param>
    /// <param name="encoder">The VAE.</param>
    /// <param name="compat">How pictures are read.</param>
    /// <param name="storage">Where distributions or latents are kept for other runs.</param>
    /// <param name="folder">The folder of <see cref="LatentStorage.Folder"/>.</param>
    /// <param name="batchSize">Pictures encoded at once (<c>vae_batch_size</c>).</param>
    /// <param name="progress">Told about each picture.</param>
    /// <param name="cancel">Stops the work.</param>
    /// <exception cref="ArgumentException">A subset crops at random or changes colours: such pictures have no fixed latents.</exception>
    /// <exception cref="DatasetException">A picture cannot be read.</exception>
    public static CachedLatents Create(IReadOnlyList<DatasetPart> parts, LatentEncoder encoder, Compat compat, LatentStorage storage = LatentStorage.Memory,
        string? folder = null, int batchSize = 1, IProgress<DataProgress>? progress = null, CancellationToken cancel = default)
    {
        foreach (var subset in parts.SelectMany(part => part.Subsets).Where(subset => subset.Options.RandomCrop || subset.Options.ColorAug))
            throw new ArgumentException($"{subset.Name}: {(subset.Options.RandomCrop ? "random_crop" : "color_aug")} changes pictures each time, so their latents cannot be cached. Switch one of the two off.");
        var store = storage == LatentStorage.Folder ? new LatentFolder(folder ?? throw new ArgumentNullException(nameof(folder))) : null;
        var cache = new CachedLatents(compat);
        try
        {
            var total = parts.Sum(part => part.Images.Count);
            foreach (var part in parts)
            {
                var jobs = JobsOf(part).ToList();
                if (storage == LatentStorage.KohyaFiles) jobs = cache.TakeKohyaFiles(part, jobs, encoder, compat);
                progress?.Report(new("caching latents", cache.entries.Count, total));
                foreach (var batch in Batches(jobs, part, batchSize))
                {
                    cancel.ThrowIfCancellationRequested();
                    cache.Encode(part, batch, encoder, compat, store, storage == LatentStorage.KohyaFiles);
                    progress?.Report(new("caching latents", cache.entries.Count, total));
                }
            }
            if (compat.OneFileForAll)
                foreach (var (picture, path) in cache.fileOf) cache.entries[picture] = cache.byFile[path];
            return cache;
        }
        catch
        {
            cache.Dispose();
            throw;
        }
    }

    /// <summary>A decided batch with its latents.</summary>
    internal Batch Read(DatasetPart part, BatchPlan plan)
    {
        using var scope = NewDisposeScope();
        var found = plan.Samples.Select(sample => entries[(part, sample.Image)]).ToList();
        var sides = plan.Samples.Zip(found, (sample, entry) => sample.Flipped ? entry.Flipped! : entry.Latents).ToList();
        if (sides.Find(side => !side.shape.SequenceEqual(sides[0].shape)) is not null)
            throw new DatasetException(plan.Samples[0].Path, "shares a batch with pictures whose latents have another size: another dataset of the run has cached them, and kohya stops there (K-64). Cache in memory, or give each dataset pictures of its own.");
        var latents = stack(sides);
        Tensor? masks = null;
        if (found.Any(entry => entry.Mask is not null) || plan.Samples.Any(sample => part.Images[sample.Image].Mask is not null))
            masks = stack(plan.Samples.Zip(found, (sample, entry) => MaskOf(part, plan, sample, entry)));
        return new(plan.Size, plan.Samples) { Latents = latents.DetachFromDisposeScope(), Masks = masks?.DetachFromDisposeScope() };
    }

    // A mask picture is read anew each time: it is no part of what the VAE saw.
    private Tensor MaskOf(DatasetPart part, BatchPlan plan, Sample sample, Entry entry)
    {
        if (part.Images[sample.Image].Mask is not { } picture)
            return entry.Mask is not { } mask ? ones(entry.Latents.shape[1] * LatentSize.CellPixels, entry.Latents.shape[2] * LatentSize.CellPixels) : sample.Flipped ? mask.flip(1) : mask;
        var values = new float[plan.Size.Area];
        BatchReader.SpreadMask(BatchReader.ReadMask(part, sample, picture, plan.Size, compat), values);
        return tensor(values, [plan.Size.Height, plan.Size.Width]);
    }

    /// <summary>Frees all latents.</summary>
    public void Dispose()
    {
        foreach (var entry in entries.Values.Concat(replaced)) entry.Dispose();
        entries.Clear();
    }

    private static IEnumerable<Job> JobsOf(DatasetPart part) =>
        Enumerable.Range(0, part.Images.Count).OrderBy(i => part.Images[i].Choice.Bucket.Area).Select(i =>
        {
            var image = part.Images[i];
            var options = part.Subsets[image.Subset].Options;
            var (left, top) = BucketRule.CentreCrop(image.Choice.Resized, image.Choice.Bucket);
            var upright = new Sample
            {
                Image = i,
                Path = image.Path,
                Key = image.Key,
                Caption = "",
                Flipped = false,
                LossWeight = 1,
                Resized = image.Choice.Resized,
                CropLeft = left,
                CropTop = top,
                OriginalSize = image.ReadSize,
                ConditioningCrop = default,
            };
            return new Job(i, image.Choice.Bucket, upright, options.FlipAug ? upright with { Flipped = true } : null, options.AlphaMask,
                options.ResizeInterpolation ?? part.Options.ResizeInterpolation);
        });

    // Neighbours in the order that have size, flip and mask in common are encoded together.
    private static IEnumerable<List<Job>> Batches(List<Job> jobs, DatasetPart part, int batchSize)
    {
        var batch = new List<Job>();
        foreach (var job in jobs)
        {
            var joins = batch.Count > 0 && batch.Count < batchSize && batch[0].Size == job.Size && batch[0].Alpha == job.Alpha && batch[0].Mirrored is null == job.Mirrored is null;
            if (batch.Count > 0 && !joins)
            {
                yield return batch;
                batch = [];
            }
            batch.Add(job);
        }
        if (batch.Count > 0) yield return batch;
    }

    private void Encode(DatasetPart part, List<Job> batch, LatentEncoder encoder, Compat compat, LatentFolder? store, bool toKohyaFiles)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var (latents, masks) = EncodeSide(part, [.. batch.Select(job => job.Upright)], batch[0], encoder, compat, store);
        var flipped = batch[0].Mirrored is null ? null : EncodeSide(part, [.. batch.Select(job => job.Mirrored!)], batch[0], encoder, compat, store).Latents;
        for (var i = 0; i < batch.Count; i++)
        {
            var entry = new Entry(latents[i].clone().DetachFromDisposeScope(), flipped?[i].clone().DetachFromDisposeScope(), masks[i]?.DetachFromDisposeScope());
            entries[(part, batch[i].Image)] = entry;
            if (!toKohyaFiles) continue;
            WriteKohyaFile(part, batch[i], entry, encoder, compat);
            Remember(part, batch[i], entry, encoder);
        }
    }

    private (Tensor Latents, Tensor?[] Masks) EncodeSide(DatasetPart part, IReadOnlyList<Sample> samples, Job like, LatentEncoder encoder, Compat compat, LatentFolder? store)
    {
        var keys = store is null ? [] : samples.Select(sample => KeyOf(sample, like, encoder, compat)).ToArray();
        var kept = store is null ? [] : keys.Select(key => store.Find(key, like.Size.ToLatent())).ToArray();
        if (store is not null && kept.All(found => found is not null))
        {
            Found += samples.Count;
            return (encoder.Sample(cat([.. kept.Select(found => found!.Value.Moments)])), [.. kept.Select(found => found!.Value.Mask)]);
        }
        var pictures = new Pixels[samples.Count];
        Parallel.For(0, samples.Count, i => pictures[i] = BatchReader.ReadPicture(part, samples[i], like.Size, compat));
        var plane = (int)like.Size.Area;
        var values = new float[samples.Count * 3 * plane];
        var masks = new Tensor?[samples.Count];
        for (var i = 0; i < samples.Count; i++)
        {
            BatchReader.Spread(pictures[i], values.AsSpan(i * 3 * plane, 3 * plane));
            if (!like.Alpha) continue;
            var mask = new float[plane];
            BatchReader.SpreadAlpha(pictures[i], mask);
            masks[i] = tensor(mask, [like.Size.Height, like.Size.Width]);
        }
        var moments = encoder.Encode(tensor(values, [samples.Count, 3, like.Size.Height, like.Size.Width])).cpu().to(ScalarType.Float32);
        for (var i = 0; i < samples.Count && store is not null; i++) store.Keep(keys[i], moments[i].unsqueeze(0).contiguous(), masks[i]);
        Encoded += samples.Count;
        return (encoder.Sample(moments), masks);
    }

    private static string KeyOf(Sample sample, Job job, LatentEncoder encoder, Compat compat)
    {
        try
        {
            return LatentKey.Of(File.ReadAllBytes(sample.Path), sample, job.Size, job.Interpolation, job.Alpha, compat, encoder.Identity);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DatasetException(sample.Path, $"cannot be opened any more: {e.Message}", e);
        }
    }

    // Takes what kohya or an earlier run left beside the pictures; gives back what is still to do.
    private List<Job> TakeKohyaFiles(DatasetPart part, List<Job> jobs, LatentEncoder encoder, Compat compat)
    {
        var left = new List<Job>();
        foreach (var job in jobs)
        {
            var path = KohyaLatentFile.PathOf(job.Upright.Path, part.Images[job.Image].Size, encoder.FileEnding);
            if (compat.OneFileForAll && byFile.TryGetValue(path, out var earlier) && (job.Mirrored is null || earlier.Flipped is not null) && (!job.Alpha || earlier.Mask is not null))
            {
                Found += job.Mirrored is null ? 1 : 2;
                entries[(part, job.Image)] = earlier;
                fileOf[(part, job.Image)] = path;
                continue;
            }
            if (KohyaLatentFile.Read(path, KeyOf(job.Upright, job, encoder, compat), job.Size.ToLatent(), job.Mirrored is not null, job.Alpha) is not { } file)
            {
                left.Add(job);
                continue;
            }
            Found += job.Mirrored is null ? 1 : 2;
            entries[(part, job.Image)] = new(Keep(file.Latents, file.Shape), file.Flipped is { } flipped ? Keep(flipped, file.Shape) : null,
                file.Mask is { } mask ? Keep(mask, [job.Size.Height, job.Size.Width]) : null);
            Remember(part, job, entries[(part, job.Image)], encoder);
        }
        return left;

        static Tensor Keep(float[] values, long[] shape) => tensor(values, shape).DetachFromDisposeScope();
    }

    // What a file holds besides is left in it.
    private void Remember(DatasetPart part, Job job, Entry entry, LatentEncoder encoder)
    {
        var path = KohyaLatentFile.PathOf(job.Upright.Path, part.Images[job.Image].Size, encoder.FileEnding);
        if (byFile.TryGetValue(path, out var before))
        {
            replaced.AddRange([before, entry]);
            entry = new(entry.Latents, entry.Flipped ?? before.Flipped, entry.Mask ?? before.Mask);
        }
        byFile[path] = entry;
        fileOf[(part, job.Image)] = path;
    }

    private static void WriteKohyaFile(DatasetPart part, Job job, Entry entry, LatentEncoder encoder, Compat compat)
    {
        var image = part.Images[job.Image];
        var latents = new KohyaLatents(entry.Latents.data<float>().ToArray(), entry.Flipped?.data<float>().ToArray(), entry.Mask?.data<float>().ToArray(), entry.Latents.shape);
        KohyaLatentFile.Write(KohyaLatentFile.PathOf(image.Path, image.Size, encoder.FileEnding), KeyOf(job.Upright, job, encoder, compat), latents,
            image.ReadSize, BucketRule.ConditioningCrop(job.Size, image.ReadSize), job.Size);
    }
}
