using System.Collections.Concurrent;
using Levain.Core;

namespace Levain.Data;

/// <summary>A picture with its caption, found but not yet placed.</summary>
/// <param name="Tags">The tags alone where they are counted apart from the caption (metadata files).</param>
/// <param name="Mask">The picture's mask, where the subset has a folder of masks.</param>
internal sealed record FoundPicture(MetadataEntry Entry, string Caption, ImageHeader Header, string? Tags = null, string? Mask = null)
{
    public string Path => Entry.Path;
}

/// <summary>A subset with its pictures.</summary>
internal sealed record ReadSubset(SubsetOptions Options, string Name, IReadOnlyList<FoundPicture> Pictures);

/// <summary>Finds the pictures of subsets, reads headers in parallel, and notes what is wrong with them.</summary>
internal sealed class SubsetReader(Compat compat, ImageChecking checking, DatasetReport report, IProgress<DataProgress>? progress, CancellationToken cancel)
{
    // Files of tools and systems that nobody would look for in a dataset.
    private static readonly string[] SilentNames = ["thumbs.db", "desktop.ini", "metadata_cache.json"];
    private static readonly string[] SilentExtensions = [".txt", ".caption", ".npz", ".json", ".jsonl", ".md", ".toml", ".safetensors"];

    private readonly ConcurrentDictionary<string, ConcurrentBag<string>> pathsByHash = new();
    private readonly Dictionary<string, MaskFolder> masksByFolder = [];

    /// <summary>The subsets of one table, in order.</summary>
    public IReadOnlyList<ReadSubset> ReadAll(DatasetOptions table)
    {
        List<SubsetOptions> subsets = [.. table.Subsets];
        if (table.TrainDataDir is { } train) subsets.AddRange(KohyaFolders.Subsets(train, table.SubsetDefaults with { IsReg = false }, compat, report.Add));
        // K-61
        if (table.RegDataDir is { } reg && !(compat.LooseRegPassedOver && !Directory.Exists(reg))) subsets.AddRange(KohyaFolders.Subsets(reg, table.SubsetDefaults with { IsReg = true, ConditioningDataDir = null }, compat, report.Add));

        var read = new List<ReadSubset>();
        foreach (var subset in subsets)
        {
            var where = subset.MetadataFile ?? subset.ImageDir ?? throw new DatasetException("image_dir", "is missing in a subset. Name the folder of its pictures.");
            // K-21b: kohya counts repeats in training only, and so judges by folders that have none.
            var judged = compat.ValidationVaries && table.ValidationSplit > 0 && (subset.MetadataFile ?? subset.ConditioningDataDir) is null;
            if (subset.NumRepeats < 1) report.Add(new IgnoredPath(where, $"num_repeats is {subset.NumRepeats}"));
            if (subset.NumRepeats < 1 && !judged) continue;
            if (compat.MissingFoldersPassedOver && subset.MetadataFile is null && !Directory.Exists(where))
                report.Add(new IgnoredPath(where, "it is no folder"));
            else if (read.Any(other => (other.Options.MetadataFile ?? other.Options.ImageDir) == where))
                report.Add(new IgnoredPath(where, "it is named twice in the same dataset"));
            else if (Read(subset, table) is { Pictures.Count: > 0 } found)
                read.Add(found);
            else
                report.Add(new IgnoredPath(where, "it holds no picture"));
        }
        return read;
    }

    /// <summary>Notes masks that belong to no picture.</summary>
    public void ReportUnusedMasks()
    {
        foreach (var folder in masksByFolder.Values) folder.ReportUnused();
    }

    /// <summary>Notes files with the same bytes, where pixels were checked.</summary>
    public void ReportDuplicates()
    {
        foreach (var paths in pathsByHash.Values.Select(paths => paths.Distinct().Order(StringComparer.Ordinal).ToList()).Where(paths => paths.Count > 1).OrderBy(paths => paths[0], StringComparer.Ordinal))
            report.AddDuplicates(paths);
    }

    private ReadSubset Read(SubsetOptions options, DatasetOptions table)
    {
        var entries = options.MetadataFile is { } file
            ? MetadataFile.Read(file, options, compat)
            : PicturesIn(options.ImageDir!).Select(path => new MetadataEntry(path, path)).ToList();
        var headers = Examine([.. entries.Select(entry => entry.Path)]);
        var masks = MasksFor(options);
        var pictures = new List<FoundPicture>();
        var without = 0;
        for (var i = 0; i < entries.Count; i++)
        {
            if (headers[i] is not { } header) continue;
            var (path, tags) = (entries[i].Path, entries[i].Tags);
            var caption = options.MetadataFile is null ? OwnCaption(path, options) : entries[i].Caption;
            if (options.Captioning is Captioning.Keyword) caption = null;
            else if (string.IsNullOrEmpty(caption)) without++;
            pictures.Add(new(entries[i], caption ?? options.ClassTokens ?? "", header, options.MetadataFile is null ? null : tags ?? "", masks?.Of(path, header, table.EnableBucket)));
        }
        if (options.Captioning is Captioning.Keyword && string.IsNullOrWhiteSpace(options.ClassTokens))
            throw new DatasetException(options.MetadataFile ?? options.ImageDir!, "has no words to be called by. Name the folder like 10_sks cat, or give class_tokens.");
        if (!compat.SlashHidesName && options.ImageDir is { } folder) options = options with { ImageDir = Path.TrimEndingDirectorySeparator(folder) };
        var name = Path.GetFileName(options.MetadataFile ?? options.ImageDir!);
        report.Add(new SubsetReport(options.MetadataFile ?? options.ImageDir!, pictures.Count, options.NumRepeats, options.IsReg, without, options.ClassTokens));
        return new(options, name, pictures);
    }

    // Masks of numbered folders may lie in folders of the same names.
    private MaskFolder? MasksFor(SubsetOptions options)
    {
        if (options.ConditioningDataDir is not { } folder) return null;
        if (!compat.MasksApart && options.ImageDir is { } pictures && Path.Combine(folder, Path.GetFileName(Path.TrimEndingDirectorySeparator(pictures))) is var own && Directory.Exists(own)) folder = own;
        if (!masksByFolder.TryGetValue(folder, out var masks)) masksByFolder[folder] = masks = MaskFolder.Read(folder, compat, report);
        return masks;
    }

    private IReadOnlyList<string> PicturesIn(string folder)
    {
        if (!Directory.Exists(folder)) throw new DatasetException(folder, "does not exist. Name the folder that holds the pictures.");
        var pictures = ImageNames.In(folder, compat);
        var taken = pictures.ToHashSet();
        foreach (var path in Directory.EnumerateFiles(folder).Where(path => !taken.Contains(path)).Order(StringComparer.Ordinal))
        {
            var (name, extension) = (Path.GetFileName(path), Path.GetExtension(path).ToLowerInvariant());
            if (name.StartsWith('.') || SilentNames.Contains(name.ToLowerInvariant()) || SilentExtensions.Contains(extension)) continue;
            report.Add(new IgnoredPath(path, ImageNames.IsPicture(name, Compat.Sound) ? "kohya does not read this kind of file name" : "its name is not that of a picture"));
        }
        foreach (var path in Directory.EnumerateDirectories(folder).Where(path => !Path.GetFileName(path).StartsWith('.') && ImageNames.In(path, compat).Count > 0).Order(StringComparer.Ordinal))
            report.Add(new IgnoredPath(path, "pictures in folders within folders are not used; move them up, or name the folder as a subset"));
        return pictures;
    }

    private static string? OwnCaption(string picture, SubsetOptions options) =>
        CaptionFile.Find(picture, options.CaptionExtension) is { } file ? CaptionFile.Read(file, options.EnableWildcard) : null;

    private ImageHeader?[] Examine(IReadOnlyList<string> paths)
    {
        var headers = new ImageHeader?[paths.Count];
        var (broken, notes) = (new BrokenImage?[paths.Count], new IReadOnlyList<ImageNote>[paths.Count]);
        var done = 0;
        Parallel.For(0, paths.Count, new ParallelOptions { CancellationToken = cancel, MaxDegreeOfParallelism = Environment.ProcessorCount }, i =>
        {
            try
            {
                (headers[i], notes[i]) = checking == ImageChecking.Headers
                    ? ImageExamination.Header(paths[i])
                    : ImageExamination.Pixels(paths[i], compat, hash => pathsByHash.GetOrAdd(hash, _ => []).Add(paths[i]));
            }
            catch (ImageException e)
            {
                broken[i] = new(paths[i], e.Fault, e.Message);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                broken[i] = new(paths[i], ImageFault.Corrupt, $"cannot be opened: {e.Message}");
            }
            progress?.Report(new(checking == ImageChecking.Headers ? "reading headers" : "checking pictures", Interlocked.Increment(ref done), paths.Count));
        });
        foreach (var image in broken.OfType<BrokenImage>()) report.Add(image);
        foreach (var note in notes.Where(list => list is not null).SelectMany(list => list)) report.Add(note);
        return headers;
    }
}
