using System.Globalization;
using Levain.Core;

namespace Levain.Data;

/// <summary>Work on pictures that takes a while.</summary>
/// <param name="Phase">What is done, in the user's words: <c>reading headers</c>.</param>
/// <param name="Done">Pictures finished.</param>
/// <param name="Total">Pictures in all.</param>
public sealed record DataProgress(string Phase, int Done, int Total);

/// <summary>How closely pictures are looked at before training.</summary>
public enum ImageChecking
{
    /// <summary>Headers only: milliseconds for each thousand pictures. Cut-off files are found when they are first used.</summary>
    Headers,

    /// <summary>Every picture is decoded once: finds all broken ones, empty pictures and duplicates.</summary>
    Pixels,
}

/// <summary>Everything a run trains on: all <c>[[datasets]]</c> tables put together, and what was found on the way.</summary>
public sealed class Dataset
{
    private Dataset(IReadOnlyList<DatasetPart> parts, IReadOnlyList<DatasetPart> validation, long seed, Compat compat, DatasetReport report) =>
        (Parts, Validation, Seed, Compat, Report) = (parts, validation, seed, compat, report);

    /// <summary>The parts that are trained on, one for each table.</summary>
    public IReadOnlyList<DatasetPart> Parts { get; }

    /// <summary>The parts that are set aside, for the tables that ask for it.</summary>
    public IReadOnlyList<DatasetPart> Validation { get; }

    /// <summary>Seed of the epochs' orders, drawn from the run's random numbers.</summary>
    public long Seed { get; }

    /// <summary>How pictures are read and split.</summary>
    public Compat Compat { get; }

    /// <summary>What was found while the dataset was put together.</summary>
    public DatasetReport Report { get; }

    /// <summary>Batches of an epoch.</summary>
    public int BatchCount => Parts.Sum(part => part.Batches.Count);

    /// <summary>Puts a dataset together: finds pictures and captions, reads headers in parallel, fills buckets.</summary>
    /// <param name="options">The tables, in order.</param>
    /// <param name="compat">Which of kohya's readings are repeated.</param>
    /// <param name="random">The run's Python generator, just seeded. Left as kohya leaves it: reseeded with 0 by the first shuffle.</param>
    /// <param name="checking">Whether every picture is decoded once now.</param>
    /// <param name="progress">Told about each picture.</param>
    /// <param name="cancel">Stops the work.</param>
    /// <returns>The dataset without its broken pictures, which <see cref="Report"/> lists.</returns>
    /// <exception cref="DatasetException">A folder does not exist, a caption cannot be read, or no picture is left.</exception>
    public static Dataset Build(IReadOnlyList<DatasetOptions> options, Compat compat, PythonRandom random,
        ImageChecking checking = ImageChecking.Headers, IProgress<DataProgress>? progress = null, CancellationToken cancel = default)
    {
        var report = new DatasetReport();
        var folders = new SubsetReader(compat, checking, report, progress, cancel);
        var tables = options.Select(table => (Table: table, Subsets: folders.ReadAll(table))).ToList();
        folders.ReportDuplicates();
        folders.ReportUnusedMasks();

        var parts = tables.Select(table => Assemble(table.Table, table.Subsets, training: true, compat, random, report)).ToList();
        var validation = tables.Where(table => table.Table.ValidationSplit > 0)
            .Select(table => Assemble(table.Table, table.Subsets, training: false, compat, random, report)).ToList();
        if (parts.Sum(part => part.Images.Count) == 0) throw NothingToTrain(options, validation.Sum(part => part.Images.Count), report);

        var seed = random.RandInt(0, 1L << 31);
        foreach (var part in parts.Concat(validation)) part.FillBuckets(random);
        for (var p = 0; p < parts.Count; p++) ReportBuckets(p, parts[p], report);
        return new(parts, validation, seed, compat, report);
    }

    private static DatasetPart Assemble(DatasetOptions table, IReadOnlyList<ReadSubset> read, bool training, Compat compat, PythonRandom random, DatasetReport report)
    {
        var subsets = new List<DatasetSubset>();
        var (images, reg) = (new List<DatasetImage>(), new List<DatasetImage>());
        foreach (var subset in read.Where(subset => !training || subset.Options.NumRepeats >= 1))
        {
            var pictures = subset.Pictures;
            // K-21b: kohya splits folders of pictures only.
            var whole = compat.ValidationVaries && (subset.Options.MetadataFile ?? subset.Options.ConditioningDataDir) is not null;
            if (table.ValidationSplit > 0 && (!whole || subset.Options.ConditioningDataDir is not null))
                pictures = subset.Options.IsReg
                    ? training ? pictures : []
                    : ValidationSplit.Take(pictures, picture => Path.GetFileName(picture.Path), table.ValidationSplit, table.ValidationSeed, training || whole, compat, random);
            if (whole && pictures.Count < subset.Pictures.Count)
                throw new DatasetException(subset.Options.ImageDir!, $"has masks, and validation_split = {table.ValidationSplit.ToString(CultureInfo.InvariantCulture)} leaves out pictures of it, which kohya refuses. Leave validation_split out for it.");
            if (pictures.Count == 0) continue;
            var repeats = training || whole ? subset.Options.NumRepeats : 1;
            foreach (var picture in pictures)
                (subset.Options.IsReg ? reg : images).Add(new()
                {
                    Path = picture.Path,
                    Name = picture.Entry.Key,
                    Subset = subsets.Count,
                    Caption = picture.Caption,
                    IsReg = subset.Options.IsReg,
                    Mask = picture.Mask,
                    Size = compat.MetadataDecides && picture.Entry.Size is { } told ? told : picture.Header.SizeForBucket(compat),
                    ReadSize = compat.RawPixels ? picture.Header.Stored : picture.Header.Size,
                    Repeats = repeats,
                });
            var options = training || compat.ValidationVaries ? subset.Options : AsTheyAre(subset.Options);
            subsets.Add(new(options with { NumRepeats = repeats }, subset.Name, pictures.Count, DatasetSubset.CountTags(pictures.Select(picture => picture.Tags ?? picture.Caption))));
        }

        const long mostUses = 100_000_000;
        var wanted = images.Sum(image => image.Repeats);
        if (wanted > mostUses) throw new DatasetException("dataset", $"has {wanted:N0} pictures an epoch, repeats counted. Lower the repeats; more epochs do the same.");
        var balanced = RegBalance.Repeats([.. reg.Select(image => image.Repeats)], wanted);
        images.AddRange(reg.Select((image, i) => image with { Repeats = balanced[i] }).Where(image => image.Repeats > 0));
        var unused = balanced.Count(count => count == 0);
        if (unused > 0 && training)
            report.Warn($"{unused} of {reg.Count} regularization pictures are never used: there are more than training pictures times repeats ({wanted}).");
        return new(table, subsets, compat.MetadataDecides ? LastOfEachName(images) : images, isValidation: !training);
    }

    // K-60: a picture takes the place of an earlier one of the same name, though both have been counted.
    private static IReadOnlyList<DatasetImage> LastOfEachName(List<DatasetImage> images)
    {
        var named = new OrderedDictionary<string, DatasetImage>();
        foreach (var image in images) named[image.Name] = image;
        return [.. named.Values];
    }

    // What is judged by should not change from one time to the next.
    private static SubsetOptions AsTheyAre(SubsetOptions options) => options with
    {
        FlipAug = false,
        ColorAug = false,
        RandomCrop = false,
        ShuffleCaption = false,
        CaptionDropoutRate = 0,
        CaptionDropoutEveryNEpochs = 0,
        CaptionTagDropoutRate = 0,
        TokenWarmupStep = 0,
    };

    private static void ReportBuckets(int index, DatasetPart part, DatasetReport report)
    {
        foreach (var bucket in part.Buckets)
            report.Add(new BucketReport(index, bucket.Size, bucket.Images.Distinct().Count(), bucket.Images.Count,
                (bucket.Images.Count + part.Options.BatchSize - 1) / part.Options.BatchSize));
    }

    private static DatasetException NothingToTrain(IReadOnlyList<DatasetOptions> options, int aside, DatasetReport report)
    {
        if (aside > 0) return new("dataset", $"sets all its pictures aside ({aside}), so that none is left to train on. Lower validation_split, or add a dataset without it.");
        var where = options.SelectMany(table => new[] { table.TrainDataDir }.Concat(table.Subsets.Select(subset => subset.ImageDir ?? subset.MetadataFile)))
            .FirstOrDefault(path => path is not null) ?? "dataset";
        var why = string.Concat(report.Broken.Select(image => $"{Environment.NewLine}  {image}")
            .Concat(report.Ignored.Select(path => $"{Environment.NewLine}  {path.Path}: left out, {path.Reason}")).Take(20));
        return new(where, $"holds no picture to train on. Name a folder of pictures, or one whose sub-folders are called like 10_sks cat.{why}");
    }
}
