namespace Levain.Data;

/// <summary>What is the matter with a picture file.</summary>
public enum ImageFault
{
    /// <summary>The file has no bytes.</summary>
    Empty,

    /// <summary>The content is no picture at all.</summary>
    NotAnImage,

    /// <summary>A picture in a format or layout that is not read.</summary>
    Unsupported,

    /// <summary>More pixels than any training needs; refused from the header.</summary>
    TooLarge,

    /// <summary>A picture that is damaged or cut off.</summary>
    Corrupt,
}

/// <summary>A picture that cannot be read. The message is a sentence that follows "file: ".</summary>
public sealed class ImageException(ImageFault fault, string message, Exception? cause = null) : Exception(message, cause)
{
    /// <summary>What is the matter.</summary>
    public ImageFault Fault { get; } = fault;
}
