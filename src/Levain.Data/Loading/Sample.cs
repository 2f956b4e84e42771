using Levain.Core;

namespace Levain.Data;

/// <summary>One use of one picture: everything that chance decided about it. Serializable, so a fetched but unused batch survives a restart.</summary>
public sealed record Sample
{
    /// <summary>Index of the picture in its part of the dataset.</summary>
    public required int Image { get; init; }

    /// <summary>The picture's file.</summary>
    public required string Path { get; init; }

    /// <summary>The picture's name with its folder, <c>folder/file</c>.</summary>
    public required string Key { get; init; }

    /// <summary>Caption after all processing: what is tokenized.</summary>
    public required string Caption { get; init; }

    /// <summary>Whether the picture is mirrored.</summary>
    public required bool Flipped { get; init; }

    /// <summary>Factor of the loss.</summary>
    public required double LossWeight { get; init; }

    /// <summary>Size the picture is resampled to before it is cut, px.</summary>
    public required PixelSize Resized { get; init; }

    /// <summary>Left edge of the cut in the resampled picture, px.</summary>
    public required int CropLeft { get; init; }

    /// <summary>Top edge of the cut in the resampled picture, px.</summary>
    public required int CropTop { get; init; }

    /// <summary>Change of colour, if one was drawn.</summary>
    public ColorChange? Color { get; init; }

    /// <summary>Size of the picture before it is resampled, px.</summary>
    public required PixelSize OriginalSize { get; init; }

    /// <summary>Top left corner of the cut as SDXL's size conditioning takes it, px.</summary>
    public required (int Top, int Left) ConditioningCrop { get; init; }
}
