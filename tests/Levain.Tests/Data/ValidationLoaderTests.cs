using Levain.Core;
using Levain.Data;
using Xunit;

namespace Levain.Tests.Data;

/// <summary>Batches of pictures that are set aside, with and without kohya's worker processes.</summary>
public sealed class ValidationLoaderTests
{
    private const long WorkerSeed = 99;
    private const int Epoch = 2, Step = 5;

    private static Dataset Build(double warmup = 0) => Dataset.Build(
    [
        new()
        {
            Resolution = new(64, 64), ValidationSplit = 0.8, ValidationSeed = 1,
            Subsets = [new() { ImageDir = Golden.Path("training", "dataset", "square", "1_sks cat"), FlipAug = true, CaptionExtension = ".txt", TokenWarmupStep = warmup }],
        },
    ], Compat.Kohya, new(1));

    private static List<(string Key, bool Flipped)> See(IEnumerable<Batch> batches)
    {
        var seen = new List<(string, bool)>();
        foreach (var batch in batches)
        {
            using var _ = batch;
            seen.Add((batch.Keys.Single(), batch.Flips[0]));
        }
        return seen;
    }

    // A worker as its own process: order and chance of its own, told of the epoch after every batch.
    private sealed class Process(Dataset dataset, long seed)
    {
        private readonly PythonRandom chance = new(seed);
        private readonly DatasetPart part = dataset.Validation[0].Fork();

        public (string, bool) Fetch(int index, int epoch)
        {
            var picture = part.Images[part.PicturesOf(index).Images.Single()];
            var flipped = chance.Random() < 0.5;
            part.AdvanceTo(epoch, dataset.Seed, chance);
            return (picture.Key, flipped);
        }
    }

    [Theory, InlineData(false), InlineData(true)]
    public void Workers_begin_anew_with_each_pass_unless_they_live_on(bool persistent)
    {
        var dataset = Build();
        var loader = new ValidationLoader(dataset, 100) { Workers = (2, persistent) };
        var (drawn, total) = (0, loader.BatchCount);
        Assert.Equal(5, total);
        Process[] workers = [];
        for (var epoch = Epoch; epoch <= Epoch + 2; epoch++)
        {
            if (epoch == Epoch || !persistent) workers = [new(dataset, WorkerSeed), new(dataset, WorkerSeed + 1)];
            var expected = Enumerable.Range(0, total).Select(i => workers[i % 2].Fetch(i, epoch)).ToList();
            Assert.Equal(expected, See(loader.Batches(int.MaxValue, Seed, (epoch, Step))));
        }
        Assert.Equal(persistent ? 1 : 3, drawn);

        long Seed()
        {
            drawn++;
            return WorkerSeed;
        }
    }

    [Fact]
    public void Workers_that_live_on_have_fetched_ahead_of_a_pass_that_is_broken_off()
    {
        var dataset = Build();
        var loader = new ValidationLoader(dataset, 100) { Workers = (1, true) };
        var worker = new Process(dataset, WorkerSeed);
        Assert.Equal([worker.Fetch(0, Epoch)], See(loader.Batches(1, () => WorkerSeed, (Epoch, Step))));
        for (var i = 1; i < 5; i++) worker.Fetch(i, Epoch);
        var restored = new ValidationLoader(dataset, 100) { Workers = (1, true) };
        restored.Restore(loader.Save());
        var expected = Enumerable.Range(0, 5).Select(i => worker.Fetch(i, Epoch + 1)).ToList();
        Assert.Equal(expected, See(loader.Batches(5, () => 0, (Epoch + 1, Step))));
        Assert.Equal(expected, See(restored.Batches(5, () => 0, (Epoch + 1, Step))));
    }

    [Fact]
    public void Without_workers_the_order_stays_that_of_before_the_first_epoch()
    {
        var loader = new ValidationLoader(Build(), 100);
        var first = See(loader.Batches(int.MaxValue, new PythonRandom(3)));
        Assert.Equal(first, See(loader.Batches(int.MaxValue, new PythonRandom(3))));
    }

    [Fact]
    public void A_warm_up_of_a_share_of_all_steps_does_nothing_to_validation_pictures()
    {
        Assert.Equal([0], Warmups(0.5));
        Assert.Equal([7], Warmups(7));

        static double[] Warmups(double steps)
        {
            var loader = new ValidationLoader(Build(steps), 100) { Workers = (1, true) };
            See(loader.Batches(1, () => 0, (1, 1)));
            return loader.Save()![0].WarmupSteps[0];
        }
    }

    [Fact]
    public void Judging_pictures_tells_the_trained_ones_the_step()
    {
        Assert.Equal((1, 4), Believed(judged: true));
        Assert.Equal((1, 0), Believed(judged: false));

        static (int, int) Believed(bool judged)
        {
            var trained = Dataset.Build([new() { Resolution = new(64, 64), Subsets = [new() { ImageDir = Golden.Path("training", "dataset", "square", "1_sks cat") }] }], Compat.Kohya, new(1));
            using var loader = new BatchLoader(trained, new(1), count => [.. Enumerable.Range(0, count).Select(i => (long)i)], 100);
            using var batches = loader.Epoch(1).GetEnumerator();
            batches.MoveNext();
            loader.Step = 4;
            if (judged) loader.AfterJudging();
            batches.MoveNext();
            return loader.Believed;
        }
    }
}
