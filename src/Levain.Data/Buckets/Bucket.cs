using Levain.Core;

namespace Levain.Data;

/// <summary>Pictures of one size, each as often as it is repeated, in their present order.</summary>
public sealed class Bucket(PixelSize size)
{
    /// <summary>Size of the pictures, px.</summary>
    public PixelSize Size { get; } = size;

    /// <summary>Indices of the pictures in <see cref="DatasetPart.Images"/>; shuffled every epoch.</summary>
    public List<int> Images { get; } = [];
}
