using Levain.Core;
using Levain.Data;
using Xunit;

namespace Levain.Tests.Data;

public sealed class BatchLoaderTests
{
    private const int Epochs = 3, Seed = 42;

    // Every kind of chance a fetch can draw, and two parts.
    private static readonly DatasetOptions[] Options =
    [
        new()
        {
            TrainDataDir = Golden.Path("training", "dataset", "train"), Resolution = new(128, 128), EnableBucket = true, MinBucketReso = 64, MaxBucketReso = 256, BatchSize = 2,
            SubsetDefaults = new()
            {
                FlipAug = true, ColorAug = true, RandomCrop = true, ShuffleCaption = true, CaptionTagDropoutRate = 0.2, CaptionDropoutRate = 0.1,
                TokenWarmupStep = 0.5, CaptionExtension = ".txt",
            },
        },
        new() { Resolution = new(64, 64), BatchSize = 3, Subsets = [new() { ImageDir = Golden.Path("training", "dataset", "square", "1_sks cat"), EnableWildcard = true, FlipAug = true }] },
    ];

    public static TheoryData<bool, int, bool> Readings() => new() { { false, 0, false }, { true, 0, false }, { true, 1, false }, { true, 3, true } };

    [Theory, MemberData(nameof(Readings))]
    public void A_restored_loader_goes_on_to_the_bit(bool kohya, int workers, bool persistent)
    {
        var compat = kohya ? Compat.Kohya : Compat.Sound;
        var unbroken = new Session(compat, workers: (workers, persistent)).Rest(0).ToList();
        for (var stop = 0; stop < unbroken.Count; stop += 5)
        {
            var first = new Session(compat, workers: (workers, persistent));
            var begun = first.Rest(0).Take(stop + 1).ToList();
            Assert.Equal(unbroken[..(stop + 1)], begun);
            var second = new Session(compat, first, (workers, persistent));
            Assert.Equal(unbroken[(stop + 1)..], second.Rest(stop + 1));
        }
    }

    [Fact]
    public void By_default_every_epoch_shows_each_picture_as_often_as_it_is_repeated()
    {
        foreach (var (compat, whole) in new[] { (Compat.Sound, true), (Compat.Kohya, false) })
        {
            var dataset = Dataset.Build([Options[0]], compat, new(Seed));
            var torch = new MersenneTwister(Seed);
            using var loader = new BatchLoader(dataset, new PythonRandom(Seed), count => LoaderOrder.Draw(torch.Next, count), 100);
            var wholeEpochs = 0;
            for (var epoch = 1; epoch <= 4; epoch++)
            {
                var keys = new List<string>();
                foreach (var batch in loader.Epoch(epoch))
                {
                    keys.AddRange(batch.Keys);
                    batch.Dispose();
                }
                var uses = keys.CountBy(key => key).ToDictionary();
                if (dataset.Parts[0].Images.All(image => uses.GetValueOrDefault(image.Key) == image.Repeats)) wholeEpochs++;
            }
            Assert.Equal(whole, wholeEpochs == 4);
        }
    }

    [Theory]
    [InlineData(0, true)]
    [InlineData(2, false)]      // the epoch that is passed over in part has workers of its own
    public void Workers_that_live_on_begin_with_whichever_epoch_comes_first(int skipped, bool live)
    {
        var begun = new List<bool>();
        using var loader = new BatchLoader(Dataset.Build([Options[1]], Compat.Kohya, new(Seed)), new(Seed), _ => [], 40)
        {
            Workers = new(2, Persistent: true, (count, begin) =>
            {
                begun.Add(begin);
                return (Seed, LoaderOrder.Permutation(Seed, count));
            }),
        };
        if (skipped > 0) loader.SkipTo(skipped, skipped);
        for (var epoch = 3; epoch <= 5; epoch++)
            foreach (var batch in loader.Epoch(epoch)) batch.Dispose();
        Assert.Equal([true, !live, false], begun);
    }

    [Fact]
    public void Another_dataset_is_not_continued()
    {
        var first = new Session(Compat.Sound);
        _ = first.Rest(0).Take(2).ToList();
        var other = Dataset.Build([Options[0] with { BatchSize = 1 }, Options[1]], Compat.Sound, new(Seed));
        using var loader = new BatchLoader(other, new(Seed), _ => [], 100);
        Assert.Contains("not the one", Assert.Throws<DatasetException>(() => loader.Restore(first.Save())).Message);
    }

    [Fact]
    public void A_picture_that_vanishes_is_named()
    {
        using var folder = new TemporaryFolder();
        File.Copy(Golden.Path("training", "dataset", "square", "1_sks cat", "s1.png"), Path.Combine(folder.Path, "s1.png"));
        var dataset = Dataset.Build([new() { Resolution = new(128, 128), Subsets = [new() { ImageDir = folder.Path }] }], Compat.Sound, new(1));
        File.Delete(Path.Combine(folder.Path, "s1.png"));
        using var loader = new BatchLoader(dataset, new(1), count => [.. Enumerable.Range(0, count).Select(i => (long)i)], 10);
        Assert.Contains("s1.png", Assert.Throws<DatasetException>(() => loader.Epoch(1).Count()).Message);
    }

    private sealed record Seen(string Keys, string Captions, string Flips, float Mean, double Random);

    /// <summary>A run that only looks at its batches: dataset, both generators, loader.</summary>
    private sealed class Session
    {
        private readonly PythonRandom random;
        private readonly MersenneTwister torch;
        private readonly BatchLoader loader;
        private readonly int epochLength;

        public Session(Compat compat, Session? before = null, (int Count, bool Persistent) workers = default)
        {
            var building = new PythonRandom(Seed);
            var dataset = Dataset.Build(Options, compat, building);
            epochLength = dataset.BatchCount;
            random = before is null ? building : new(Copy(before.random.Twister));
            torch = before is null ? new(Seed) : Copy(before.torch);
            loader = new(dataset, random, count => LoaderOrder.Draw(torch.Next, count), 40)
            {
                Workers = workers.Count == 0 ? null : new(workers.Count, workers.Persistent, (count, begin) =>
                {
                    var seed = begin ? LoaderOrder.DrawSeed(torch.Next) : 0;
                    return (seed, LoaderOrder.Permutation(LoaderOrder.DrawSeed(torch.Next), count));
                }),
            };
            if (before is not null) loader.Restore(LoaderState.FromBytes(before.Save().ToBytes()));
        }

        public LoaderState Save() => loader.Save();

        public IEnumerable<Seen> Rest(int seen)
        {
            for (var epoch = seen / epochLength + 1; epoch <= Epochs; epoch++)
                foreach (var batch in loader.Epoch(epoch))
                {
                    using var _ = batch;
                    loader.Step = seen++;
                    // A step may draw Python numbers too (pyramid noise): the loader must not mind.
                    yield return new(string.Join(",", batch.Keys), string.Join("|", batch.Captions), string.Join(",", batch.Flips), batch.Images!.mean().item<float>(), random.Random());
                }
        }

        private static MersenneTwister Copy(MersenneTwister twister) => new(twister.State, twister.Index);
    }
}
