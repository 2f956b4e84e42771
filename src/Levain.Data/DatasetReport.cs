using Levain.Core;

namespace Levain.Data;

/// <summary>A file or folder that is left out, and why.</summary>
/// <param name="Path">The file or folder.</param>
/// <param name="Reason">A clause that follows "path: left out, ".</param>
public sealed record IgnoredPath(string Path, string Reason);

/// <summary>A picture that cannot be used.</summary>
/// <param name="Path">The file.</param>
/// <param name="Fault">What is the matter.</param>
/// <param name="Message">A sentence that follows "path: ".</param>
public sealed record BrokenImage(string Path, ImageFault Fault, string Message)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Path}: {Message}";
}

/// <summary>Something about a picture that its owner should know; it is used.</summary>
/// <param name="Path">The file.</param>
/// <param name="Message">A sentence that follows "path: ".</param>
public sealed record ImageNote(string Path, string Message)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Path}: {Message}";
}

/// <summary>What became of one subset.</summary>
/// <param name="Folder">Folder or metadata file.</param>
/// <param name="Images">Pictures used.</param>
/// <param name="Repeats">Times an epoch uses each.</param>
/// <param name="IsReg">Whether these are regularization pictures.</param>
/// <param name="WithoutCaption">Pictures without a caption of their own.</param>
/// <param name="ClassTokens">What stands in for the missing captions; null or empty: nothing.</param>
public sealed record SubsetReport(string Folder, int Images, long Repeats, bool IsReg, int WithoutCaption, string? ClassTokens);

/// <summary>What became of one bucket of one part of the dataset.</summary>
/// <param name="Part">Index of the <c>[[datasets]]</c> table.</param>
/// <param name="Size">Size of its pictures, px.</param>
/// <param name="Images">Pictures, repeats not counted.</param>
/// <param name="Uses">Pictures, repeats counted.</param>
/// <param name="Batches">Batches an epoch makes of it.</param>
public sealed record BucketReport(int Part, PixelSize Size, int Images, int Uses, int Batches);

/// <summary>Everything that was found while a dataset was put together, for <c>levain check</c> and for the run's plan.</summary>
public sealed class DatasetReport
{
    private readonly List<SubsetReport> subsets = [];
    private readonly List<BucketReport> buckets = [];
    private readonly List<IgnoredPath> ignored = [];
    private readonly List<BrokenImage> broken = [];
    private readonly List<ImageNote> notes = [];
    private readonly List<string> warnings = [];
    private readonly List<IReadOnlyList<string>> duplicates = [];

    /// <summary>Subsets in order.</summary>
    public IReadOnlyList<SubsetReport> Subsets => subsets;

    /// <summary>Buckets that got pictures, part by part, by size.</summary>
    public IReadOnlyList<BucketReport> Buckets => buckets;

    /// <summary>Files and folders that are left out.</summary>
    public IReadOnlyList<IgnoredPath> Ignored => ignored;

    /// <summary>Pictures that cannot be read; they are not in the dataset.</summary>
    public IReadOnlyList<BrokenImage> Broken => broken;

    /// <summary>Remarks about pictures that are used.</summary>
    public IReadOnlyList<ImageNote> Notes => notes;

    /// <summary>Remarks about the dataset as a whole, one sentence each.</summary>
    public IReadOnlyList<string> Warnings => warnings;

    /// <summary>Files with the same bytes; found only where all pixels were checked.</summary>
    public IReadOnlyList<IReadOnlyList<string>> Duplicates => duplicates;

    /// <summary>Pictures, repeats not counted.</summary>
    public int Images => subsets.Sum(subset => subset.Images);

    /// <summary>Share of pictures without a caption of their own, 0..1.</summary>
    public double ShareWithoutCaption => Images == 0 ? 0 : (double)subsets.Sum(subset => subset.WithoutCaption) / Images;

    internal void Add(SubsetReport subset) => subsets.Add(subset);

    internal void Add(BucketReport bucket) => buckets.Add(bucket);

    internal void Add(IgnoredPath path) => ignored.Add(path);

    internal void Add(BrokenImage image) => broken.Add(image);

    internal void Add(ImageNote note) => notes.Add(note);

    internal void Warn(string sentence) => warnings.Add(sentence);

    internal void AddDuplicates(IReadOnlyList<string> paths) => duplicates.Add(paths);
}
