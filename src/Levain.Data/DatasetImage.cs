using Levain.Core;

namespace Levain.Data;

/// <summary>One picture of a dataset, from its header and caption; no pixel is held.</summary>
public sealed record DatasetImage
{
    /// <summary>The file.</summary>
    public required string Path { get; init; }

    /// <summary>What it is called within its dataset: in a metadata file as it stands there, else its path.</summary>
    public required string Name { get; init; }

    /// <summary>Index of its subset in <see cref="DatasetPart.Subsets"/>.</summary>
    public required int Subset { get; init; }

    /// <summary>Caption as stored; class tokens or empty where there is none.</summary>
    public required string Caption { get; init; }

    /// <summary>Size the bucket is chosen by, px.</summary>
    public required PixelSize Size { get; init; }

    /// <summary>Size of the pixels that are read, px; differs from <see cref="Size"/> only where kohya misreads a header.</summary>
    public required PixelSize ReadSize { get; init; }

    /// <summary>Its mask for the loss: a picture of the same name in the subset's <see cref="SubsetOptions.ConditioningDataDir"/>; null where there is none.</summary>
    public string? Mask { get; init; }

    /// <summary>How often an epoch uses it, after balancing.</summary>
    public required long Repeats { get; init; }

    /// <summary>Whether it is a regularization picture.</summary>
    public bool IsReg { get; init; }

    /// <summary>Where it goes.</summary>
    public BucketChoice Choice { get; init; }

    /// <summary>Its name with its folder, <c>folder/file</c>.</summary>
    public string Key => $"{System.IO.Path.GetFileName(System.IO.Path.GetDirectoryName(Path))}/{System.IO.Path.GetFileName(Path)}";
}
